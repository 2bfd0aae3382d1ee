// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Packets and bytes a protocol, a copy a CPU: plain additions.
#include "packet.h"

struct traffic {
  __u64 packets;
  __u64 bytes;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __type(key, __u32);
  __type(value, struct traffic);
  __uint(max_entries, 256);
} protocols SEC(".maps");

SEC("socket")
int percpu_count(struct __sk_buff *skb) {
  __u8 protocol;
  if (transport_offset(skb, &protocol) == 0) return ACCEPT;
  __u32 key = protocol;
  struct traffic *seen = bpf_map_lookup_elem(&protocols, &key);
  if (!seen) return ACCEPT;
  seen->packets++;
  seen->bytes += skb->len;
  return ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
