// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Access list by 5-tuple: packets of a listed flow are dropped and counted, others pass.
#include "tuple.h"

struct rule {
  __u64 packets;
  __u64 bytes;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, struct tuple);
  __type(value, struct rule);
  __uint(max_entries, 16384);
} blocked SEC(".maps");

SEC("socket")
int acl_exact(struct __sk_buff *skb) {
  struct tuple key = {};
  if (read_tuple(skb, &key)) return ACCEPT;
  struct rule *rule = bpf_map_lookup_elem(&blocked, &key);
  if (!rule) return ACCEPT;
  __sync_fetch_and_add(&rule->packets, 1);
  __sync_fetch_and_add(&rule->bytes, skb->len);
  return DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
