// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// DNS query counter: queries to UDP port 53 (untagged IPv4 and IPv6) by query type (1 A, 28 AAAA,
// 15 MX, ...). Queries that cannot be read (compressed or cut name) count as type 0. Passes
// everything.
//   dns_queries: query type -> count
#include "packet.h"

#define DNS_PORT 53
#define DNS_RESPONSE 0x8000
#define DNS_HEADER 12
#define NAME_LABELS 32

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __u32);
  __type(value, __u64);
  __uint(max_entries, 256);
} dns_queries SEC(".maps");

// The type behind the name at `offset`; 0: not readable.
static __always_inline __u32 query_type(struct __sk_buff *skb, __u32 offset) {
  for (int i = 0; i < NAME_LABELS; i++) {
    __u16 type;
    __u8 length;
    if (load_u8(skb, offset, &length) || length > 63) return 0;
    offset += 1 + length;
    if (length == 0) return load_u16(skb, offset, &type) ? 0 : type;
  }
  return 0;
}

SEC("socket")
int count_queries(struct __sk_buff *skb) {
  __u16 port, flags;
  __u8 protocol;
  __u32 offset = transport_offset(skb, &protocol);
  if (offset == 0 || protocol != IP_UDP) return ACCEPT;
  if (load_u16(skb, offset + 2, &port) || port != DNS_PORT) return ACCEPT;
  if (load_u16(skb, offset + 8 + 2, &flags) || (flags & DNS_RESPONSE)) return ACCEPT;
  __u32 type = query_type(skb, offset + 8 + DNS_HEADER);
  __u64 *count = bpf_map_lookup_elem(&dns_queries, &type);
  if (!count) {
    __u64 none = 0;
    bpf_map_update_elem(&dns_queries, &type, &none, BPF_NOEXIST);
    count = bpf_map_lookup_elem(&dns_queries, &type);
  }
  if (count) __sync_fetch_and_add(count, 1);
  return ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
