// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// xdp filter by direct packet access: drops TCP and UDP over IPv4 to listed ports or of listed
// flows, counted a rule; counts packets and bytes an action.
#include <linux/if_ether.h>
#include <linux/ip.h>

#include "tuple.h"

struct traffic {
  __u64 packets;
  __u64 bytes;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __be16);
  __type(value, struct traffic);
  __uint(max_entries, 1024);
} blocked_ports SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, struct tuple);
  __type(value, struct traffic);
  __uint(max_entries, 16384);
} blocked SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __type(key, __u32);
  __type(value, struct traffic);
  __uint(max_entries, XDP_REDIRECT + 1);
} actions SEC(".maps");

static __always_inline int read_flow(__u8 *at, __u8 *end, struct tuple *key) {
  struct ethhdr *eth = (struct ethhdr *)at;
  struct iphdr *ip = (struct iphdr *)(eth + 1);
  if ((__u8 *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP)) return -1;
  if ((ip->protocol != IP_TCP && ip->protocol != IP_UDP) || (ip->frag_off & bpf_htons(0x1fff)))
    return -1;
  __be16 *ports = (__be16 *)((__u8 *)ip + ip->ihl * 4);
  if ((__u8 *)(ports + 2) > end) return -1;
  key->source = ip->saddr;
  key->destination = ip->daddr;
  key->source_port = ports[0];
  key->destination_port = ports[1];
  key->protocol = ip->protocol;
  return 0;
}

static __always_inline __u32 action_of(__u8 *data, __u8 *end) {
  struct tuple key = {};
  if (read_flow(data, end, &key)) return XDP_PASS;
  struct traffic *rule = bpf_map_lookup_elem(&blocked_ports, &key.destination_port);
  if (!rule) rule = bpf_map_lookup_elem(&blocked, &key);
  if (!rule) return XDP_PASS;
  __sync_fetch_and_add(&rule->packets, 1);
  __sync_fetch_and_add(&rule->bytes, end - data);
  return XDP_DROP;
}

SEC("xdp")
int xdp_filter(struct xdp_md *ctx) {
  __u8 *data = (__u8 *)(long)ctx->data;
  __u8 *end = (__u8 *)(long)ctx->data_end;
  __u32 action = action_of(data, end);
  struct traffic *seen = bpf_map_lookup_elem(&actions, &action);
  if (seen) {
    seen->packets++;
    seen->bytes += end - data;
  }
  return action;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
