// A capture's record as a packet: an mbuf that points at the record's bytes, and what a mbuf has no
// field for. It belongs to its capture queue, never to a pool, and no port ever sees it (pkt_len
// holds more than the 16 bits of data_len).
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

namespace sluice::dataplane {

// Before a record's bytes and behind them, for programs that make packets longer.
inline constexpr uint32_t kReplayHeadRoom = 256;
inline constexpr uint32_t kReplayTailRoom = 256;

struct ReplayPacket {
  rte_mbuf mbuf;
  uint32_t wire_length;  // kReplayLayout.wire_length
  uint32_t nanoseconds;
  int64_t seconds;
};

}  // namespace sluice::dataplane
