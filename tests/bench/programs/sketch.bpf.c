// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Count-min sketch of sources in four rows: estimates each packet's source and drops the heaviest.
#include "packet.h"

#define ROWS 4
#define COLUMNS 4096
#define HEAVY 1000000000

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, __u64);
  __uint(max_entries, ROWS * COLUMNS);
} cells SEC(".maps");

SEC("socket")
int sketch(struct __sk_buff *skb) {
  __u16 type;
  __u32 source;
  if (load_u16(skb, ETH_TYPE_OFFSET, &type) || type != ETH_IPV4) return ACCEPT;
  if (bpf_skb_load_bytes(skb, ETH_LENGTH + 12, &source, 4)) return ACCEPT;
  __u64 least = ~0ull;
  __u32 hash = source;
  for (__u32 row = 0; row < ROWS; row++) {
    hash = hash * 2654435761u + row;
    __u32 cell = row * COLUMNS + (hash >> 20);
    __u64 *count = bpf_map_lookup_elem(&cells, &cell);
    if (!count) return ACCEPT;
    __sync_fetch_and_add(count, 1);
    if (*count < least) least = *count;
  }
  return least > HEAVY ? DROP : ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
