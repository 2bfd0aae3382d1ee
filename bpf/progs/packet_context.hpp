// What a running packet program sees: the packet, the fields of struct __sk_buff, and the worker it
// runs on. Plain data shared by the binary (g++) and the JIT's bitcode (clang). A packet is seen
// from its Ethernet header on.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bpf/maps/map_core.hpp"

namespace sluice::bpf {

class TraceSink;  // helpers/trace.hpp

// ring buffers that one run reserves records in; in a ninth it gets none
inline constexpr uint32_t kMaxRings = 8;

// One per worker (or per test run): written by its own thread only.
struct RunEnv {
  uint32_t slot = 0;             // per-CPU slot, bpf_get_smp_processor_id: the worker's index
  // the worker's index; a test run, whose slot may be a worker's, is none
  uint32_t writer = kNoWorker;
  uint32_t ifindex = 1;          // of the chain's port
  uint32_t ingress_ifindex = 1;
  uint8_t mac[6] = {};           // the port's, for pkt_type
  uint16_t rx_queue = 0;         // the port's that the packets came by
  // bpf_get_prandom_u32; never both 0
  uint64_t random_state[2] = {0x9e3779b97f4a7c15u, 0xbf58476d1ce4e5b9u};
  TraceSink* trace = nullptr;    // bpf_trace_printk; null discards
};

// Where a packet's parts lie in the object a burst hands over (rte_mbuf on the data plane,
// LinearPacket elsewhere), so that the bpf layer knows no DPDK header. Offsets in bytes from the
// packet pointer.
struct PacketLayout {
  uint16_t buffer;      // uint8_t*
  uint16_t data_off;    // uint16_t, added to the buffer
  uint16_t captured;    // uint32_t, bytes readable from there, in one piece
  uint16_t wire_length; // uint32_t
  uint16_t hash;        // uint32_t; kNoField: reads 0
  uint16_t
      first_piece;  // uint16_t, bytes in the packet's first piece; kNoField: there is no such field
  uint16_t room;        // uint16_t, bytes at the buffer
  static constexpr uint16_t kNoField = 0xffff;
};

// A packet in one piece of memory: test runs, the interpreter's tests, benchmarks.
struct LinearPacket {
  const uint8_t* buffer = nullptr;
  uint16_t data_off = 0;
  uint16_t room = 0;  // bytes at the buffer; 0: what the packet takes
  uint32_t captured = 0;
  uint32_t wire_length = 0;
  uint32_t hash = 0;
};
inline constexpr PacketLayout kLinearLayout{
    offsetof(LinearPacket, buffer),   offsetof(LinearPacket, data_off),
    offsetof(LinearPacket, captured), offsetof(LinearPacket, wire_length),
    offsetof(LinearPacket, hash),     PacketLayout::kNoField,
    offsetof(LinearPacket, room)};

// R1 of a packet program. The verifier turns ctx offsets (struct __sk_buff, struct xdp_md) into the
// fields below: progs/sk_buff.hpp, progs/xdp_md.hpp.
struct PacketContext {
  uint8_t* data;        // Ethernet header; socket filters do not write there
  uint32_t captured;    // bytes readable at data
  uint32_t len;         // wire length
  uint32_t hash;
  uint32_t mark;        // carried from one program of the chain to the next, like priority and cb
  uint32_t priority;
  uint32_t cb[5];
  uint32_t tail_calls;  // made so far by this program of the chain
  uint32_t tc_classid;  // what a sched_cls program may write beside mark, priority and cb
  uint16_t tc_index;
  uint16_t queue_mapping;
  uint64_t tstamp_ns;
  // What only sched_cls and xdp programs change.
  uint8_t* meta;        // metadata lies from here to data; data: there is none
  uint8_t* head;        // where the packet and its metadata may begin
  uint8_t* limit;       // and where it may end
  uint32_t redirect_ifindex;  // of the last redirect; 0: none
  uint16_t protocol;    // as it was on entry, network order; 0: as the bytes say
  uint16_t vlan_proto;  // of the tag beside the packet, network order; 0: none
  uint16_t vlan_tci;    // host order
  uint8_t pkt_type_set; // 1 + PACKET_*; 0: as the bytes say
  uint32_t ring_count;
  const MapCore* rings[kMaxRings];  // where records were reserved: a submit names the record alone
  void* engine;         // the interpreter's, for callbacks; null in machine code
  RunEnv* env;
};

// Builds the context of one packet.
inline void load_context(PacketContext* ctx, const PacketLayout& layout, const void* packet,
                         RunEnv* env) {
  const auto* base = static_cast<const uint8_t*>(packet);
  uint8_t* buffer;
  uint16_t data_off;
  __builtin_memcpy(&buffer, base + layout.buffer, sizeof buffer);
  __builtin_memcpy(&data_off, base + layout.data_off, sizeof data_off);
  __builtin_memcpy(&ctx->captured, base + layout.captured, sizeof ctx->captured);
  __builtin_memcpy(&ctx->len, base + layout.wire_length, sizeof ctx->len);
  ctx->hash = 0;
  if (layout.hash != PacketLayout::kNoField)
    __builtin_memcpy(&ctx->hash, base + layout.hash, sizeof ctx->hash);
  ctx->data = buffer + data_off;
  ctx->mark = 0;
  ctx->priority = 0;
  for (auto& word : ctx->cb) word = 0;
  ctx->tail_calls = 0;
  ctx->tc_classid = 0;
  ctx->tc_index = 0;
  ctx->queue_mapping = 0;
  ctx->tstamp_ns = 0;
  ctx->meta = ctx->head = ctx->data;
  ctx->limit = ctx->data + ctx->captured;
  ctx->redirect_ifindex = 0;
  ctx->protocol = 0;
  ctx->vlan_proto = 0;
  ctx->vlan_tci = 0;
  ctx->pkt_type_set = 0;
  ctx->ring_count = 0;
  ctx->engine = nullptr;
  ctx->env = env;
}

}  // namespace sluice::bpf
