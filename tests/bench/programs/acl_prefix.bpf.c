// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Access list by source prefix: the longest match decides and is counted.
#include "packet.h"

struct prefix {
  __u32 length;
  __u8 address[4];
};

struct verdict {
  __u64 packets;
  __u64 drop;
};

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __type(key, struct prefix);
  __type(value, struct verdict);
  __uint(max_entries, 16384);
  __uint(map_flags, BPF_F_NO_PREALLOC);
} prefixes SEC(".maps");

SEC("socket")
int acl_prefix(struct __sk_buff *skb) {
  struct prefix key = {.length = 32};
  __u16 type;
  if (load_u16(skb, ETH_TYPE_OFFSET, &type) || type != ETH_IPV4) return ACCEPT;
  if (bpf_skb_load_bytes(skb, ETH_LENGTH + 12, key.address, 4)) return ACCEPT;
  struct verdict *verdict = bpf_map_lookup_elem(&prefixes, &key);
  if (!verdict) return ACCEPT;
  __sync_fetch_and_add(&verdict->packets, 1);
  return verdict->drop ? DROP : ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
