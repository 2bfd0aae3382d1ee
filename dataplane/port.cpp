#include "dataplane/port.hpp"

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "base/limits.hpp"

namespace sluice::dataplane {
namespace {

constexpr uint16_t kDescriptors = 512;
constexpr uint32_t kPoolCache = 256;

std::string dpdk_error(int result) { return rte_strerror(result < 0 ? -result : rte_errno); }

std::string device_name(const std::string& device) { return device.substr(0, device.find(',')); }

// Marks the port as ours, so that no second Port takes it.
Status own(uint16_t id, const std::string& name) {
  rte_eth_dev_owner owner{};
  int result = rte_eth_dev_owner_new(&owner.id);
  std::snprintf(owner.name, sizeof owner.name, "sluice");
  if (result == 0) result = rte_eth_dev_owner_set(id, &owner);
  if (result == -EPERM) return fail(EEXIST, "device " + name + " is in use by another port");
  if (result != 0) return fail(-result, "device " + name + ": " + dpdk_error(result));
  return {};
}

// The port of a device that is there already (probed at start, or by --vdev), or of one that is
// made now.
Result<uint16_t> find_or_probe(const std::string& device) {
  uint16_t id = 0;
  const std::string name = device_name(device);
  if (rte_eth_dev_get_port_by_name(name.c_str(), &id) != 0) {
    const int result = rte_dev_probe(device.c_str());
    if (result != 0)
      return fail(result < 0 ? -result : ENODEV, "device " + device + ": " + dpdk_error(result));
    if (rte_eth_dev_get_port_by_name(name.c_str(), &id) != 0) {
      return fail(ENODEV, "device " + device + " is not a network device");
    }
  }
  if (auto status = own(id, name); !status) return fail(std::move(status.error()));
  return id;
}

}  // namespace

bool is_pci_address(std::string_view device) {
  device = device.substr(0, device.find(','));
  // [domain:]bus:device.function in hexadecimal
  const size_t dot = device.rfind('.');
  const size_t colon = device.rfind(':');
  if (dot == std::string_view::npos || colon == std::string_view::npos || dot < colon ||
      dot + 2 != device.size()) {
    return false;
  }
  return std::all_of(device.begin(), device.end(),
                     [](unsigned char c) { return std::isxdigit(c) || c == ':' || c == '.'; });
}

Result<Port> Port::open(const PortSpec& spec, uint16_t tx_queues) {
  const std::string where = (spec.origin.empty() ? "" : spec.origin + ": ") + "port " + spec.name;
  if (spec.rx_queues == 0) return fail(EINVAL, where + ": rx_queues is 0");
  auto id = find_or_probe(spec.device);
  if (!id) return fail(std::move(id.error()).in(where));
  Port port;
  port.spec_ = spec;
  port.id_ = *id;
  port.backoff_ = spec.idle_backoff.value_or(!is_pci_address(spec.device));
  if (auto status = port.configure(tx_queues); !status)
    return fail(std::move(status.error()).in(where));
  return port;
}

Status Port::configure(uint16_t tx_queues) {
  rte_eth_dev_info info{};
  int result = rte_eth_dev_info_get(id_, &info);
  if (result != 0) return fail(-result, "device info: " + dpdk_error(result));
  driver_ = info.driver_name;
  if (spec_.rx_queues > info.max_rx_queues) {
    return fail(EINVAL, "rx_queues is " + std::to_string(spec_.rx_queues) + ", but " +
                            spec_.device + " (" + driver_ + ") has " +
                            std::to_string(info.max_rx_queues));
  }
  tx_queues_ = std::min(tx_queues, info.max_tx_queues);
  rte_eth_conf conf{};
  // Packets in several segments are sent as they came.
  conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
  if (spec_.rx_queues > 1 && info.flow_type_rss_offloads != 0) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf =
        (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP) & info.flow_type_rss_offloads;
    if ((info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH) != 0) {
      conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_RSS_HASH;
      rss_ = true;
    }
  }
  result = rte_eth_dev_configure(id_, spec_.rx_queues, tx_queues_, &conf);
  if (result != 0) return fail(-result, "configure: " + dpdk_error(result));

  uint16_t rx_descriptors = kDescriptors;
  uint16_t tx_descriptors = kDescriptors;
  result = rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx_descriptors, &tx_descriptors);
  if (result != 0) return fail(-result, "descriptors: " + dpdk_error(result));
  if (auto status = set_up_queues(rx_descriptors, tx_descriptors); !status) return status;

  rte_ether_addr address{};
  if (rte_eth_macaddr_get(id_, &address) == 0)
    std::copy_n(address.addr_bytes, mac_.size(), mac_.begin());
  result = rte_eth_dev_start(id_);
  if (result != 0) return fail(-result, "start: " + dpdk_error(result));
  // A filter between two networks takes frames that are not for itself; a device that cannot choose
  // takes all anyway.
  rte_eth_promiscuous_enable(id_);
  return {};
}

Status Port::set_up_queues(uint16_t rx_descriptors, uint16_t tx_descriptors) {
  const int socket = rte_eth_dev_socket_id(id_);
  const uint32_t packets =
      spec_.rx_queues * (rx_descriptors + kPoolCache + kBurst) + tx_queues_ * tx_descriptors + 4096;
  pool_ = rte_pktmbuf_pool_create(("sluice_port_" + std::to_string(id_)).c_str(), packets - 1,
                                  kPoolCache, 0, RTE_MBUF_DEFAULT_BUF_SIZE, socket);
  if (pool_ == nullptr) {
    return fail(rte_errno, "memory for " + std::to_string(packets) + " packets: " + dpdk_error(0) +
                               " (see eal: memory_mb)");
  }
  for (uint16_t queue = 0; queue < spec_.rx_queues; queue++) {
    const int result = rte_eth_rx_queue_setup(id_, queue, rx_descriptors,
                                              static_cast<unsigned>(socket), nullptr, pool_);
    if (result != 0)
      return fail(-result, "receive queue " + std::to_string(queue) + ": " + dpdk_error(result));
  }
  for (uint16_t queue = 0; queue < tx_queues_; queue++) {
    const int result =
        rte_eth_tx_queue_setup(id_, queue, tx_descriptors, static_cast<unsigned>(socket), nullptr);
    if (result != 0)
      return fail(-result, "transmit queue " + std::to_string(queue) + ": " + dpdk_error(result));
  }
  return {};
}

Port::Port(Port&& other) noexcept
    : spec_(std::move(other.spec_)),
      driver_(std::move(other.driver_)),
      mac_(other.mac_),
      pool_(std::exchange(other.pool_, nullptr)),
      id_(std::exchange(other.id_, UINT16_MAX)),
      tx_queues_(other.tx_queues_),
      backoff_(other.backoff_),
      rss_(other.rss_) {}

Port::~Port() {
  close();
  rte_mempool_free(pool_);
}

void Port::close() {
  if (id_ == UINT16_MAX) return;
  rte_eth_dev_info info{};
  const bool known = rte_eth_dev_info_get(id_, &info) == 0;
  rte_eth_dev_stop(id_);
  rte_eth_dev_close(id_);
  // The device goes as well, so that its name is free again.
  if (known && info.device != nullptr) rte_dev_remove(info.device);
  id_ = UINT16_MAX;
}

bool Port::link_up() const {
  rte_eth_link link{};
  return rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

PortStats Port::stats() const {
  rte_eth_stats s{};
  if (rte_eth_stats_get(id_, &s) != 0) return {};
  return {.rx_packets = s.ipackets,
          .rx_bytes = s.ibytes,
          .rx_missed = s.imissed,
          .rx_errors = s.ierrors,
          .rx_no_buffer = s.rx_nombuf,
          .tx_packets = s.opackets,
          .tx_bytes = s.obytes,
          .tx_errors = s.oerrors};
}

}  // namespace sluice::dataplane
