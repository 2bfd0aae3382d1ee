// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A program as long as it is told to be: BLOCKS tests of packet bytes with some arithmetic, LOOKUPS
// hash lookups.
#include "packet.h"


struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __u32);
  __type(value, __u64);
  __uint(max_entries, 1024);
} table SEC(".maps");

SEC("socket")
int blocks(struct __sk_buff *skb) {
  __u32 sum = skb->len;
#if LOOKUPS > 0
#pragma unroll
  for (int i = 0; i < LOOKUPS; i++) {
    __u32 key = sum + i;
    __u64 *value = bpf_map_lookup_elem(&table, &key);
    if (value) sum += *value;
  }
#endif
#if BLOCKS > 0
#pragma unroll
  for (int i = 0; i < BLOCKS; i++) {
    __u16 word;
    if (bpf_skb_load_bytes(skb, i * 2, &word, sizeof(word))) return sum;
    sum = (sum ^ word) * 31;
  }
#endif
  return sum & 1 ? ACCEPT : DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
