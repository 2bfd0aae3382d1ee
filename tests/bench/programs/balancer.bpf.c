// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// L4 balancer: the 5-tuple's hash chooses a backend from a table, unless the flow has one already;
// counts a backend.
#include "tuple.h"

#define BACKENDS 16
#define SLOTS 1024

struct backend {
  __u64 packets;
  __u64 bytes;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, __u32);
  __uint(max_entries, SLOTS);
} ring SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, struct backend);
  __uint(max_entries, BACKENDS);
} backends SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, struct tuple);
  __type(value, __u32);
  __uint(max_entries, 131072);
} sticky SEC(".maps");

static __always_inline __u32 mix(__u32 a, __u32 b) {
  a ^= b;
  a *= 0x85ebca6b;
  return a ^ a >> 15;
}

SEC("socket")
int balancer(struct __sk_buff *skb) {
  struct tuple key = {};
  if (read_tuple(skb, &key)) return DROP;
  __u32 chosen;
  __u32 *known = bpf_map_lookup_elem(&sticky, &key);
  if (known) {
    chosen = *known;
  } else {
    __u32 hash =
        mix(mix(mix(key.source, key.destination), key.source_port << 16 | key.destination_port),
            key.protocol);
    __u32 slot = hash % SLOTS;
    __u32 *entry = bpf_map_lookup_elem(&ring, &slot);
    if (!entry) return DROP;
    chosen = *entry;
    bpf_map_update_elem(&sticky, &key, &chosen, BPF_ANY);
  }
  struct backend *backend = bpf_map_lookup_elem(&backends, &chosen);
  if (!backend) return DROP;
  __sync_fetch_and_add(&backend->packets, 1);
  __sync_fetch_and_add(&backend->bytes, skb->len);
  return ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
