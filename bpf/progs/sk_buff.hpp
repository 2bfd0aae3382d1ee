// Reading and writing struct __sk_buff's fields on a PacketContext, and packet loads. Shared with
// the JIT's bitcode; the field offset is a constant there, so one case remains. Field meanings:
// docs/ARCHITECTURE.md, Packets and context.
#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>

#include "bpf/progs/packet_context.hpp"

namespace sluice::bpf {

inline uint16_t load_be16(const uint8_t* at) {
  uint16_t value;
  __builtin_memcpy(&value, at, sizeof value);
  return __builtin_bswap16(value);
}
inline uint32_t load_be32(const uint8_t* at) {
  uint32_t value;
  __builtin_memcpy(&value, at, sizeof value);
  return __builtin_bswap32(value);
}

// The outer Ethertype in network order. An 802.3 length gives ETH_P_802_2 (4), or ETH_P_802_3 (1)
// for raw IPX (ff ff).
inline uint32_t ctx_protocol(const PacketContext* ctx) {
  if (ctx->protocol != 0) return ctx->protocol;
  if (ctx->captured < 14) return 0;
  const uint16_t type = load_be16(ctx->data + 12);
  if (type >= 0x600) return __builtin_bswap16(type);
  const bool ipx = ctx->captured >= 16 && ctx->data[14] == 0xff && ctx->data[15] == 0xff;
  return __builtin_bswap16(ipx ? 1 : 4);
}

// PACKET_HOST 0, PACKET_BROADCAST 1, PACKET_MULTICAST 2, PACKET_OTHERHOST 3, by the destination
// address.
inline uint32_t ctx_pkt_type(const PacketContext* ctx) {
  if (ctx->pkt_type_set != 0) return ctx->pkt_type_set - 1u;
  if (ctx->captured < 6) return 0;
  uint8_t broadcast = 0xff;
  uint8_t differs = 0;
  for (int i = 0; i < 6; i++) {
    broadcast &= ctx->data[i];
    differs |= ctx->data[i] ^ ctx->env->mac[i];
  }
  if (broadcast == 0xff) return 1;
  if ((ctx->data[0] & 1) != 0) return 2;
  return differs == 0 ? 0 : 3;
}

// A 4-byte field of struct __sk_buff; the verifier has allowed `offset`. Fields that sluice has no
// source for read 0.
inline uint32_t ctx_load(const PacketContext* ctx, uint32_t offset) {
  switch (offset) {
    case offsetof(__sk_buff, len): return ctx->len;
    case offsetof(__sk_buff, pkt_type): return ctx_pkt_type(ctx);
    case offsetof(__sk_buff, mark): return ctx->mark;
    case offsetof(__sk_buff, protocol): return ctx_protocol(ctx);
    case offsetof(__sk_buff, priority): return ctx->priority;
    case offsetof(__sk_buff, ingress_ifindex): return ctx->env->ingress_ifindex;
    case offsetof(__sk_buff, ifindex): return ctx->env->ifindex;
    case offsetof(__sk_buff, hash): return ctx->hash;
    case offsetof(__sk_buff, cb[0]): return ctx->cb[0];
    case offsetof(__sk_buff, cb[1]): return ctx->cb[1];
    case offsetof(__sk_buff, cb[2]): return ctx->cb[2];
    case offsetof(__sk_buff, cb[3]): return ctx->cb[3];
    case offsetof(__sk_buff, cb[4]): return ctx->cb[4];
    case offsetof(__sk_buff, tc_index): return ctx->tc_index;
    case offsetof(__sk_buff, tc_classid): return ctx->tc_classid;
    case offsetof(__sk_buff, queue_mapping): return ctx->queue_mapping;
    case offsetof(__sk_buff, wire_len): return ctx->len;
    case offsetof(__sk_buff, vlan_present): return ctx->vlan_proto != 0 ? 1 : 0;
    case offsetof(__sk_buff, vlan_tci): return ctx->vlan_tci;
    case offsetof(__sk_buff, vlan_proto): return ctx->vlan_proto;
    default: return 0;
  }
}

// The fields wider than they look: data, data_end and data_meta are addresses in a sched_cls
// program, tstamp has 8 bytes. False: an ordinary field.
inline bool ctx_load_wide(const PacketContext* ctx, uint32_t offset, uint64_t* value) {
  switch (offset) {
    case offsetof(__sk_buff, data): *value = reinterpret_cast<uint64_t>(ctx->data); return true;
    case offsetof(__sk_buff, data_meta):
      *value = reinterpret_cast<uint64_t>(ctx->meta);
      return true;
    case offsetof(__sk_buff, data_end):
      *value = reinterpret_cast<uint64_t>(ctx->data) + ctx->captured;
      return true;
    case offsetof(__sk_buff, tstamp): *value = ctx->tstamp_ns; return true;
    default: return false;
  }
}

inline constexpr int32_t kSkfNetOff = -0x100000;
inline constexpr int32_t kSkfLlOff = -0x200000;

inline bool packet_load_linear(const PacketContext* ctx, uint32_t offset, uint32_t size,
                               uint32_t* value) {
  if (uint64_t{offset} + size > ctx->captured) return false;
  const uint8_t* at = ctx->data + offset;
  *value = size == 1 ? *at : size == 2 ? load_be16(at) : load_be32(at);
  return true;
}

// What the JIT and the interpreter call for a program's access of `size` bytes at `offset`; the
// verifier has allowed it: inside one 4-byte field, or anywhere inside cb[], which is plain memory.
inline bool in_cb(uint32_t offset) {
  return offset >= offsetof(__sk_buff, cb[0]) && offset < offsetof(__sk_buff, cb[4]) + 4;
}
inline uint64_t ctx_read(const PacketContext* ctx, uint32_t offset, uint32_t size) {
  if (in_cb(offset)) {
    uint64_t value = 0;
    const auto* at =
        reinterpret_cast<const uint8_t*>(ctx->cb) + (offset - offsetof(__sk_buff, cb[0]));
    if (size == 1) value = *at;
    if (size == 2) __builtin_memcpy(&value, at, 2);
    if (size == 4) __builtin_memcpy(&value, at, 4);
    if (size == 8) __builtin_memcpy(&value, at, 8);
    return value;
  }
  uint64_t wide;
  if (ctx_load_wide(ctx, offset, &wide)) return wide;
  const uint32_t field = ctx_load(ctx, offset & ~3u) >> ((offset & 3u) * 8);
  return size == 1 ? field & 0xff : size == 2 ? field & 0xffff : field;
}
// The fields outside cb[] that a sched_cls program may write; whole, as the verifier has seen.
inline void ctx_store(PacketContext* ctx, uint32_t offset, uint64_t value) {
  const auto word = static_cast<uint32_t>(value);
  switch (offset) {
    case offsetof(__sk_buff, mark): ctx->mark = word; break;
    case offsetof(__sk_buff, priority): ctx->priority = word; break;
    case offsetof(__sk_buff, tc_index): ctx->tc_index = static_cast<uint16_t>(word); break;
    case offsetof(__sk_buff, tc_classid): ctx->tc_classid = word; break;
    case offsetof(__sk_buff, queue_mapping):
      ctx->queue_mapping = static_cast<uint16_t>(word);
      break;
    case offsetof(__sk_buff, tstamp): ctx->tstamp_ns = value; break;
    default: break;
  }
}
inline void ctx_write(PacketContext* ctx, uint32_t offset, uint32_t size, uint64_t value) {
  if (!in_cb(offset)) return ctx_store(ctx, offset, value);
  auto* at = reinterpret_cast<uint8_t*>(ctx->cb) + (offset - offsetof(__sk_buff, cb[0]));
  if (size == 1) *at = static_cast<uint8_t>(value);
  if (size == 2) __builtin_memcpy(at, &value, 2);
  if (size == 4) __builtin_memcpy(at, &value, 4);
  if (size == 8) __builtin_memcpy(at, &value, 8);
}

// Packet bytes at `offset` as LD_ABS and LD_IND read them (Linux:
// Documentation/networking/filter.rst). Non-negative offsets count from the Ethernet header;
// SKF_LL_OFF the same, SKF_NET_OFF from behind it (14 bytes). False: out of range, the program ends
// with 0.
inline bool packet_load(const PacketContext* ctx, int32_t offset, uint32_t size, uint32_t* value) {
  if (offset >= 0) [[likely]]
    return packet_load_linear(ctx, static_cast<uint32_t>(offset), size, value);
  // eBPF (unlike classic BPF, whose SKF_AD_OFF the converter has turned into ctx loads) knows these
  // two bases only.
  if (offset >= kSkfNetOff) {
    return packet_load_linear(ctx, static_cast<uint32_t>(offset - kSkfNetOff) + 14, size, value);
  }
  if (offset >= kSkfLlOff)
    return packet_load_linear(ctx, static_cast<uint32_t>(offset - kSkfLlOff), size, value);
  return false;
}

}  // namespace sluice::bpf
