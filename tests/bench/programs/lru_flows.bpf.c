// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Flow counter in an LRU map: flows come without end, the oldest go.
#include "tuple.h"

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __type(key, struct tuple);
  __type(value, __u64);
  __uint(max_entries, 131072);
} flows SEC(".maps");

SEC("socket")
int lru_flows(struct __sk_buff *skb) {
  struct tuple key = {};
  __u64 first = 1;
  if (read_tuple(skb, &key)) return ACCEPT;
  __u64 *packets = bpf_map_lookup_elem(&flows, &key);
  if (packets) {
    __sync_fetch_and_add(packets, 1);
  } else {
    bpf_map_update_elem(&flows, &key, &first, BPF_ANY);
  }
  return ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
