// Packets in several segments, for programs that see one piece: copied to a worker's own memory, the packet untouched.
#pragma once

#include <cstdint>

#include "base/limits.hpp"

struct rte_mbuf;

namespace sluice::dataplane {

class Segments {
 public:
  static constexpr uint32_t kBytes = kBurst * 65536;

  Segments();
  Segments(const Segments&) = delete;
  Segments& operator=(const Segments&) = delete;
  ~Segments();

  // Forgets the last burst's copies.
  void reset() { used_ = views_used_ = 0; }
  // A packet with the same bytes in one piece, good until reset; null: too long.
  const rte_mbuf* view(const rte_mbuf* packet);

 private:
  uint8_t* memory_ = nullptr;  // mapped, not touched before the first use
  rte_mbuf* views_ = nullptr;
  uint32_t used_ = 0;
  uint32_t views_used_ = 0;
};

// Shortens a packet to its first `length` bytes, giving back segments that fall away.
void trim_packet(rte_mbuf* packet, uint32_t length);

}  // namespace sluice::dataplane
