// Where the packet context's parts lie in the packets the data plane hands to a chain. Compile
// chains of ports for kPortLayout, those of a replay for kReplayLayout. (Checked against rte_mbuf
// in mbuf_layout.cpp.)
#pragma once

#include "bpf/progs/packet_context.hpp"

namespace sluice::dataplane {

inline constexpr bpf::PacketLayout kPortLayout{.buffer = 0,
                                               .data_off = 16,
                                               .captured = 36,
                                               .wire_length = 36,
                                               .hash = 44,
                                               .first_piece = 40,
                                               .room = 54};
// A capture's record keeps its wire length behind the mbuf (replay_packet.hpp).
inline constexpr bpf::PacketLayout kReplayLayout{.buffer = 0,
                                                 .data_off = 16,
                                                 .captured = 36,
                                                 .wire_length = 128,
                                                 .hash = bpf::PacketLayout::kNoField,
                                                 .first_piece = 40,
                                                 .room = 54};

}  // namespace sluice::dataplane
