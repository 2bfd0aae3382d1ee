// The packets of the benchmarks: 64 to 1,514 bytes of IPv4, IPv6 and VLAN traffic, TCP, UDP with
// DNS queries, ICMP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "bpf/progs/packet_context.hpp"
#include "tests/bench/peers.hpp"

namespace sluice::bench {

// Memory on huge pages where the system gives them, so that no contestant pays for the benchmark's
// own page walks.
class HugeMemory {
 public:
  explicit HugeMemory(size_t bytes);
  ~HugeMemory();
  HugeMemory(const HugeMemory&) = delete;
  HugeMemory& operator=(const HugeMemory&) = delete;
  [[nodiscard]] uint8_t* data() const { return data_; }

 private:
  uint8_t* data_;
  size_t bytes_;
};

class Traffic {
 public:
  Traffic(uint32_t packets, uint32_t flows);
  [[nodiscard]] uint32_t count() const { return static_cast<uint32_t>(frames.size()); }

  std::vector<Frame> frames;
  std::vector<void*> packets;  // LinearPacket*, as a burst function takes them

 private:
  std::unique_ptr<HugeMemory> bytes_;
  std::vector<bpf::LinearPacket> linear_;
};

}  // namespace sluice::bench
