// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Packets a source address.
#include "packet.h"

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __u32);
  __type(value, __u64);
  __uint(max_entries, 131072);
} flows SEC(".maps");

SEC("socket")
int sources(struct __sk_buff *skb) {
  __u32 source;
  __u64 first = 1;
  if (bpf_skb_load_bytes(skb, ETH_LENGTH + 12, &source, 4)) return DROP;
  __u64 *packets = bpf_map_lookup_elem(&flows, &source);
  if (packets) {
    __sync_fetch_and_add(packets, 1);
  } else {
    bpf_map_update_elem(&flows, &source, &first, BPF_ANY);
  }
  return ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
