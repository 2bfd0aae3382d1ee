// Packets in several segments, for programs that see one piece: copied to a worker's own memory,
// and back where programs may change them.
#pragma once

#include <cstdint>

#include "base/limits.hpp"

struct rte_mbuf;

namespace sluice::dataplane {

class Segments {
 public:
  static constexpr uint32_t kHeadRoom = 256;  // before a copy and behind it
  static constexpr uint32_t kTailRoom = 256;
  static constexpr uint32_t kBytes = kBurst * (65536 + kHeadRoom + kTailRoom);

  Segments();
  Segments(const Segments&) = delete;
  Segments& operator=(const Segments&) = delete;
  ~Segments();

  // Forgets the last burst's copies.
  void reset() { used_ = views_used_ = 0; }
  // A packet with the same bytes in one piece, good until reset; null: too long.
  rte_mbuf* view(const rte_mbuf* packet);
  [[nodiscard]] bool used() const { return views_used_ != 0; }

 private:
  uint8_t* memory_ = nullptr;  // mapped, not touched before the first use
  rte_mbuf* views_ = nullptr;
  uint32_t used_ = 0;
  uint32_t views_used_ = 0;
};

// Makes the packet's bytes those of its view, which may be more or fewer. False: they do not fit
// into its segments.
bool put_back_view(rte_mbuf* packet, const rte_mbuf* view);

// Shortens a packet to its first `length` bytes, giving back segments that fall away.
void trim_packet(rte_mbuf* packet, uint32_t length);

}  // namespace sluice::dataplane
