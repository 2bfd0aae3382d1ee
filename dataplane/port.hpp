// A DPDK port: opened from a PCI address or a virtual device's string, started, closed with the
// object. Control thread; its queues are used by workers through queue.hpp.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

struct rte_mempool;

namespace sluice::dataplane {

struct PortSpec {
  std::string name;
  std::string origin;  // where it is configured ("file:line:column"), for errors; may be empty
  std::string device;  // "0000:01:00.0", "net_af_packet0,iface=veth0", any DPDK device string
  uint16_t rx_queues = 1;
  uint32_t ifindex = 1;              // 1 + place in the config
  std::optional<bool> idle_backoff;  // unset: on for virtual devices, off for PCI
};

struct PortStats {
  uint64_t rx_packets = 0;
  uint64_t rx_bytes = 0;
  uint64_t rx_missed = 0;     // by the device: no room in the receive queue
  uint64_t rx_errors = 0;
  uint64_t rx_no_buffer = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_bytes = 0;
  uint64_t tx_errors = 0;
};

[[nodiscard]] bool is_pci_address(std::string_view device);

class Port {
 public:
  // tx_queues: wanted; a device with fewer gets what it has. errors: EINVAL, ENODEV, what the
  // driver says; the texts begin with the origin and "port NAME:".
  static Result<Port> open(const PortSpec& spec, uint16_t tx_queues);
  Port(Port&& other) noexcept;
  Port& operator=(Port&&) = delete;
  ~Port();
  // Ends the device; the memory of its packets, some of which other ports may hold, goes with this.
  void close();

  [[nodiscard]] const PortSpec& spec() const { return spec_; }
  [[nodiscard]] uint16_t id() const { return id_; }  // DPDK's
  [[nodiscard]] uint16_t tx_queues() const { return tx_queues_; }
  [[nodiscard]] const std::array<uint8_t, 6>& mac() const { return mac_; }
  [[nodiscard]] const std::string& driver() const { return driver_; }
  [[nodiscard]] bool idle_backoff() const { return backoff_; }
  [[nodiscard]] bool has_rss() const { return rss_; }
  [[nodiscard]] bool link_up() const;
  [[nodiscard]] PortStats stats() const;

 private:
  Port() = default;
  Status configure(uint16_t tx_queues);
  Status set_up_queues(uint16_t rx_descriptors, uint16_t tx_descriptors);

  PortSpec spec_;
  std::string driver_;
  std::array<uint8_t, 6> mac_{};
  rte_mempool* pool_ = nullptr;
  uint16_t id_ = UINT16_MAX;  // UINT16_MAX: nothing to close
  uint16_t tx_queues_ = 0;
  bool backoff_ = true;
  bool rss_ = false;
};

}  // namespace sluice::dataplane
