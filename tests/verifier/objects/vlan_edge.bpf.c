// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// The edge of a provider's network: customer VLANs are mapped to service tags and back, with learning of MAC addresses.
#include "common.h"

struct mac_key {
  __u8 mac[6];
  __u16 vlan;
};
struct entry {
  __u32 port;
  __u32 pad;
  __u64 seen_ns;
};
struct mapping {
  __u16 service;
  __u16 priority;
};
MAP(BPF_MAP_TYPE_LRU_HASH, table, struct mac_key, struct entry, 8192);
MAP(BPF_MAP_TYPE_ARRAY, mappings, __u32, struct mapping, 4096);
struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP);
  __uint(key_size, 4);
  __uint(value_size, 4);
  __uint(max_entries, 64);
} ports SEC(".maps");

static __always_inline int push_tag(struct xdp_md *ctx, __u16 tci) {
  if (bpf_xdp_adjust_head(ctx, -4)) return -1;
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  if (data + ETH_HLEN + 4 > data_end) return -1;
  __builtin_memmove(data, data + 4, 12);
  *(__be16 *)(data + 12) = bpf_htons(ETH_P_8021AD);
  *(__be16 *)(data + 14) = bpf_htons(tci);
  return 0;
}

static __always_inline int pop_tag(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  if (data + ETH_HLEN + 4 > data_end) return -1;
  __builtin_memmove(data + 4, data, 12);
  return bpf_xdp_adjust_head(ctx, 4);
}

SEC("xdp")
int edge(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  struct vlan_header *tag = (void *)(eth + 1);
  if ((void *)(tag + 1) > data_end) return XDP_PASS;
  __u32 vlan = bpf_ntohs(tag->tci) & 0xfff;
  struct mac_key source = {.vlan = vlan}, destination = {.vlan = vlan};
  __builtin_memcpy(source.mac, eth->h_source, 6);
  __builtin_memcpy(destination.mac, eth->h_dest, 6);
  struct entry here = {.port = ctx->ingress_ifindex, .seen_ns = bpf_ktime_get_ns()};
  if (!(source.mac[0] & 1)) bpf_map_update_elem(&table, &source, &here, BPF_ANY);
  __be16 type = eth->h_proto;
  if (type == bpf_htons(ETH_P_8021Q)) {
    struct mapping *mapping = bpf_map_lookup_elem(&mappings, &vlan);
    if (!mapping || !mapping->service) return XDP_DROP;
    if (push_tag(ctx, (mapping->priority & 7) << 13 | (mapping->service & 0xfff))) return XDP_ABORTED;
  } else if (type == bpf_htons(ETH_P_8021AD)) {
    if (pop_tag(ctx)) return XDP_ABORTED;
  } else {
    return XDP_PASS;
  }
  struct entry *there = bpf_map_lookup_elem(&table, &destination);
  if (!there) return XDP_PASS;
  if (there->port == ctx->ingress_ifindex) return XDP_DROP;
  return bpf_redirect_map(&ports, there->port & 63, XDP_PASS);
}

char LICENSE[] SEC("license") = "GPL";
