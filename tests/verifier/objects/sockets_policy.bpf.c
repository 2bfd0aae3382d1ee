// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A policy as state machines in tables: tokens of a text protocol are fed byte by byte to a DFA kept in read-only data.
#include "common.h"

#define STATES 16
static const __u8 classes[128] = {
    ['G'] = 1, ['E'] = 2, ['T'] = 3, ['P'] = 4, ['O'] = 5, ['S'] = 6, [' '] = 7, ['/'] = 8, ['H'] = 9, ['A'] = 10, ['D'] = 11,
};
static const __u8 table[STATES][16] = {
    {0, 1, 0, 0, 4, 0, 0, 0, 0, 8, 0, 0},   {15, 15, 2, 15, 15, 15, 15, 15, 15, 15, 15, 15},
    {15, 15, 15, 3, 15, 15, 15, 15, 15, 15, 15, 15}, {15, 15, 15, 15, 15, 15, 15, 12, 15, 15, 15, 15},
    {15, 15, 15, 15, 15, 5, 15, 15, 15, 15, 15, 15}, {15, 15, 15, 15, 15, 15, 6, 15, 15, 15, 15, 15},
    {15, 15, 15, 7, 15, 15, 15, 15, 15, 15, 15, 15}, {15, 15, 15, 15, 15, 15, 15, 13, 15, 15, 15, 15},
    {15, 15, 9, 15, 15, 15, 15, 15, 15, 15, 15, 15}, {15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 10, 15},
    {15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 11}, {15, 15, 15, 15, 15, 15, 15, 14, 15, 15, 15, 15},
    {15, 15, 15, 15, 15, 15, 15, 15, 12, 15, 15, 15}, {15, 15, 15, 15, 15, 15, 15, 15, 13, 15, 15, 15},
    {15, 15, 15, 15, 15, 15, 15, 15, 14, 15, 15, 15}, {15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15},
};
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, methods, __u32, __u64, STATES);

SEC("socket")
int methods_of(struct __sk_buff *skb) {
  struct iphdr ip;
  __u8 offset_byte;
  if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) < 0 || ip.protocol != IPPROTO_TCP) return 0;
  __u32 offset = ETH_HLEN + ip.ihl * 4;
  if (bpf_skb_load_bytes(skb, offset + 12, &offset_byte, 1) < 0) return 0;
  offset += (offset_byte >> 4) * 4;
  __u32 state = 0;
  for (__u32 i = 0; i < 16; i++) {
    __u8 byte;
    if (bpf_skb_load_bytes(skb, offset + i, &byte, 1) < 0) break;
    __u32 class = byte < 128 ? classes[byte] : 0;
    state = table[state & (STATES - 1)][class & 15];
    if (state >= 12) break;
  }
  __u64 *count = bpf_map_lookup_elem(&methods, &state);
  if (count) *count += 1;
  return state >= 12 && state < 15 ? skb->len : 0;
}

char LICENSE[] SEC("license") = "GPL";
