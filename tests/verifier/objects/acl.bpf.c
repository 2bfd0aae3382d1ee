// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// An access list: longest prefix by source and destination, then rules of the group in an inner map, in order.
#include "common.h"

#define RULES 32
struct prefix4 {
  __u32 bits;
  __u32 address;
};
struct rule {
  __u16 port_low, port_high;
  __u8 protocol;
  __u8 action;
  __u16 pad;
};
struct group {
  struct rule rules[RULES];
  __u32 count;
};
struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __type(key, struct prefix4);
  __type(value, __u32);
  __uint(max_entries, 4096);
  __uint(map_flags, BPF_F_NO_PREALLOC);
} sources SEC(".maps");
struct inner {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __u32);
  __type(value, struct group);
  __uint(max_entries, 16);
} default_inner SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 4);
  __type(key, __u32);
  __array(values, struct inner);
} tenants SEC(".maps") = {.values = {[0] = &default_inner}};

static __always_inline int match(struct group *group, __u8 protocol, __u16 port) {
  __u32 count = group->count;
  if (count > RULES) count = RULES;
  for (__u32 i = 0; i < RULES; i++) {
    if (i >= count) break;
    struct rule *rule = &group->rules[i];
    if (rule->protocol != protocol) continue;
    if (port < rule->port_low || port > rule->port_high) continue;
    return rule->action;
  }
  return XDP_PASS;
}

SEC("xdp")
int decide(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  struct iphdr *ip = (void *)(eth + 1);
  __be16 *ports = (void *)(ip + 1);
  if ((void *)(ports + 2) > data_end || eth->h_proto != bpf_htons(ETH_P_IP)) return XDP_PASS;
  struct prefix4 from = {32, ip->saddr};
  __u32 *number = bpf_map_lookup_elem(&sources, &from);
  if (!number) return XDP_DROP;
  __u32 tenant = *number >> 16;
  __u32 group_number = *number & 0xffff;
  void *groups = bpf_map_lookup_elem(&tenants, &tenant);
  if (!groups) return XDP_DROP;
  struct group *group = bpf_map_lookup_elem(groups, &group_number);
  if (!group) return XDP_DROP;
  int action = match(group, ip->protocol, bpf_ntohs(ports[1]));
  return action > XDP_REDIRECT ? XDP_ABORTED : action;
}

char LICENSE[] SEC("license") = "GPL";
