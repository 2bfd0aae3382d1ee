#include "dataplane/mbuf_layout.hpp"

#include <rte_mbuf.h>

#include "dataplane/replay_packet.hpp"

namespace sluice::dataplane {

static_assert(kPortLayout.buffer == offsetof(rte_mbuf, buf_addr));
static_assert(kPortLayout.data_off == offsetof(rte_mbuf, data_off));
static_assert(kPortLayout.captured == offsetof(rte_mbuf, pkt_len));
static_assert(kPortLayout.wire_length == offsetof(rte_mbuf, pkt_len));
static_assert(kPortLayout.hash == offsetof(rte_mbuf, hash.rss));
static_assert(kPortLayout.first_piece == offsetof(rte_mbuf, data_len));
static_assert(kPortLayout.room == offsetof(rte_mbuf, buf_len));
static_assert(kReplayLayout.wire_length == offsetof(ReplayPacket, wire_length));
static_assert(offsetof(ReplayPacket, mbuf) == 0);

}  // namespace sluice::dataplane
