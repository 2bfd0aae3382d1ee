// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// What the programs of this folder share: verdicts, header offsets and loads from the packet. A
// load beyond the packet's end fails instead of ending the program, so that a counter never drops
// what it cannot read.
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ACCEPT 0xffffffffu // keep the whole packet
#define DROP 0

#define ETH_TYPE_OFFSET 12
#define ETH_LENGTH 14
#define ETH_IPV4 0x0800
#define ETH_IPV6 0x86dd
#define ETH_VLAN 0x8100
#define ETH_QINQ 0x88a8
#define IP_TCP 6
#define IP_UDP 17

static __always_inline int load_u8(struct __sk_buff *skb, __u32 offset, __u8 *value) {
  return bpf_skb_load_bytes(skb, offset, value, sizeof(*value));
}

// In host byte order.
static __always_inline int load_u16(struct __sk_buff *skb, __u32 offset, __u16 *value) {
  __u16 wire;
  if (bpf_skb_load_bytes(skb, offset, &wire, sizeof(wire))) return -1;
  *value = bpf_ntohs(wire);
  return 0;
}

// Offset of the transport header of an untagged TCP or UDP packet, over IPv4 (first fragments only)
// or IPv6 without extension headers; 0 for anything else.
static __always_inline __u32 transport_offset(struct __sk_buff *skb, __u8 *protocol) {
  __u16 type, fragment;
  __u8 version;
  if (load_u16(skb, ETH_TYPE_OFFSET, &type)) return 0;
  if (type == ETH_IPV6) return load_u8(skb, ETH_LENGTH + 6, protocol) ? 0 : ETH_LENGTH + 40;
  if (type != ETH_IPV4 || load_u8(skb, ETH_LENGTH, &version) ||
      load_u8(skb, ETH_LENGTH + 9, protocol))
    return 0;
  if (load_u16(skb, ETH_LENGTH + 6, &fragment) || (fragment & 0x1fff)) return 0;
  return ETH_LENGTH + (version & 0x0f) * 4;
}
