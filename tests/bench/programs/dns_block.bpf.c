// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// DNS filter: walks the query's name label by label, hashing it, and drops names that are listed.
#include "packet.h"

#define DNS_PORT 53
#define DNS_HEADER 12
#define NAME_BYTES 40

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __u32);
  __type(value, __u64);
  __uint(max_entries, 1024);
} blocked_names SEC(".maps");

SEC("socket")
int dns_block(struct __sk_buff *skb) {
  __u16 port;
  __u8 protocol;
  __u32 offset = transport_offset(skb, &protocol);
  if (offset == 0 || protocol != IP_UDP) return ACCEPT;
  if (load_u16(skb, offset + 2, &port) || port != DNS_PORT) return ACCEPT;
  offset += 8 + DNS_HEADER;
  __u32 hash = 2166136261u;
  for (int i = 0; i < NAME_BYTES; i++) {
    __u8 byte;
    if (load_u8(skb, offset + i, &byte)) return ACCEPT;
    if (byte == 0) break;
    hash = (hash ^ byte) * 16777619u;
  }
  __u64 *hits = bpf_map_lookup_elem(&blocked_names, &hash);
  if (!hits) return ACCEPT;
  __sync_fetch_and_add(hits, 1);
  return DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
