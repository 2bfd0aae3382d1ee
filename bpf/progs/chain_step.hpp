// What the programs of a chain do to a packet, one after another: shared by the interpreter and the
// JIT's bitcode. A socket filter's 0 drops, another value goes on to the next program. XDP_PASS and
// TCX_NEXT go on; TCX_PASS and the like end the chain and the packet passes, also past socket
// filters that would come later (Linux: tcx).
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <cstdint>

#include "bpf/progs/packet_context.hpp"
#include "bpf/progs/sk_buff.hpp"

namespace sluice::bpf {

// A verdict word: the bytes to keep, and above them where to: 0 and kToAction as the chain's action
// says, else the port of that ifindex. 0 as a whole drops.
inline constexpr uint32_t kVerdictLength = 0x00ffffff;
inline constexpr uint32_t kVerdictPortShift = 24;
inline constexpr uint32_t kToAction = 0xff;
inline constexpr uint32_t kToNoPort = 0xfe;  // no port has this index

enum class Step : uint32_t { next, pass, drop, transmit, redirect };

// Program types whose programs may change packets and send them to other ports.
inline bool forwards(uint32_t type) {
  return type == BPF_PROG_TYPE_XDP || type == BPF_PROG_TYPE_SCHED_CLS;
}

inline Step xdp_step(uint32_t action) {
  switch (action) {
    case XDP_PASS: return Step::next;
    case XDP_TX: return Step::transmit;
    case XDP_REDIRECT: return Step::redirect;
    default: return Step::drop;  // XDP_ABORTED, XDP_DROP, numbers that mean nothing
  }
}
// TCX_NEXT is TC_ACT_UNSPEC, TCX_PASS is TC_ACT_OK, and so on. Who takes a packet away from the
// stack, drops it here.
inline Step sched_cls_step(uint32_t action) {
  switch (static_cast<int32_t>(action)) {
    case TC_ACT_UNSPEC: return Step::next;
    case TC_ACT_SHOT:
    case TC_ACT_STOLEN:
    case TC_ACT_QUEUED:
    case TC_ACT_TRAP: return Step::drop;
    case TC_ACT_REDIRECT: return Step::redirect;
    default: return Step::pass;
  }
}
inline Step step_of(uint32_t type, uint32_t result) {
  if (type == BPF_PROG_TYPE_XDP) return xdp_step(result);
  if (type == BPF_PROG_TYPE_SCHED_CLS) return sched_cls_step(result);
  return result == 0 ? Step::drop : Step::next;
}

// Before a chain with such programs: where the packet may grow to.
inline void load_room(PacketContext* ctx, const PacketLayout& layout, const void* packet) {
  const auto* base = static_cast<const uint8_t*>(packet);
  uint16_t room;
  __builtin_memcpy(&ctx->head, base + layout.buffer, sizeof ctx->head);
  __builtin_memcpy(&room, base + layout.room, sizeof room);
  uint8_t* end = ctx->data + ctx->captured;
  ctx->limit = ctx->head + room > end ? ctx->head + room : end;
}

// Before the first program that is not xdp: what the Ethernet header says is noted, whatever the
// packet becomes.
inline void enter_stack(PacketContext* ctx) {
  ctx->protocol = static_cast<uint16_t>(ctx_protocol(ctx));
  ctx->pkt_type_set = static_cast<uint8_t>(1 + ctx_pkt_type(ctx));
}

// Puts the tag beside the packet into it. False: no room.
inline bool insert_vlan_tag(PacketContext* ctx) {
  if (ctx->vlan_proto == 0) return true;
  if (ctx->data - ctx->head < 4 || ctx->captured < 12) return false;
  const uint16_t tci = __builtin_bswap16(ctx->vlan_tci);
  ctx->data -= 4;
  __builtin_memmove(ctx->data, ctx->data + 4, 12);
  __builtin_memcpy(ctx->data + 12, &ctx->vlan_proto, 2);
  __builtin_memcpy(ctx->data + 14, &tci, 2);
  ctx->captured += 4;
  ctx->len += 4;
  ctx->vlan_proto = 0;
  return true;
}

// Tells the packet where its bytes lie now.
inline void store_packet(const PacketContext* ctx, const PacketLayout& layout, void* packet) {
  auto* base = static_cast<uint8_t*>(packet);
  const auto data_off = static_cast<uint16_t>(ctx->data - ctx->head);
  const auto first_piece =
      static_cast<uint16_t>(ctx->captured < UINT16_MAX ? ctx->captured : UINT16_MAX);
  __builtin_memcpy(base + layout.data_off, &data_off, sizeof data_off);
  __builtin_memcpy(base + layout.captured, &ctx->captured, sizeof ctx->captured);
  __builtin_memcpy(base + layout.wire_length, &ctx->len, sizeof ctx->len);
  if (layout.first_piece != PacketLayout::kNoField) {
    __builtin_memcpy(base + layout.first_piece, &first_piece, sizeof first_piece);
  }
}

// The verdict of a packet that such a chain did not drop. kept: the minimum of the socket filters'
// verdicts.
inline uint32_t finish_packet(PacketContext* ctx, const PacketLayout& layout, void* packet,
                              Step last, uint32_t kept) {
  if (!insert_vlan_tag(ctx)) return 0;
  store_packet(ctx, layout, packet);
  uint32_t port = kToAction;
  if (last == Step::transmit) port = ctx->env->ifindex;
  if (last == Step::redirect) {
    const uint32_t ifindex = ctx->redirect_ifindex;
    port = ifindex == 0 || ifindex > kToNoPort ? kToNoPort : ifindex;
  }
  const uint32_t length = kept < ctx->captured ? kept : ctx->captured;
  return port << kVerdictPortShift | length;
}

}  // namespace sluice::bpf
