// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Follows nested headers: VLAN tags, IPv4 and IPv6 with extension headers, GRE, VXLAN, IP in IP, in
// any order up to a depth.
#include "common.h"

#define DEPTH 6
enum layer { L_ETH, L_IP4, L_IP6, L_UDP, L_GRE, L_DONE };

struct cursor {
  __u32 offset;
  __u32 layer;
  __u32 tunnels;
  __u32 vlans;
};
MAP(BPF_MAP_TYPE_HASH, by_inner_address, __u32, __u64, 4096);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, depths, __u32, __u64, 16);

static __always_inline int eth_layer(struct __sk_buff *skb, struct cursor *at) {
  struct ethhdr eth;
  if (bpf_skb_load_bytes(skb, at->offset, &eth, sizeof eth) < 0) return -1;
  at->offset += sizeof eth;
  __u16 proto = eth.h_proto;
  for (int i = 0; i < 2; i++) {
    struct vlan_header vlan;
    if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD)) break;
    if (bpf_skb_load_bytes(skb, at->offset, &vlan, sizeof vlan) < 0) return -1;
    at->offset += sizeof vlan;
    at->vlans++;
    proto = vlan.proto;
  }
  at->layer = proto == bpf_htons(ETH_P_IP)     ? L_IP4
              : proto == bpf_htons(ETH_P_IPV6) ? L_IP6
                                               : L_DONE;
  return 0;
}

static __always_inline __u32 after_ip(__u8 protocol) {
  switch (protocol) {
    case IPPROTO_IPIP: return L_IP4;
    case IPPROTO_IPV6: return L_IP6;
    case IPPROTO_GRE: return L_GRE;
    case IPPROTO_UDP: return L_UDP;
    default: return L_DONE;
  }
}

static __always_inline int ip4_layer(struct __sk_buff *skb, struct cursor *at) {
  struct iphdr ip;
  if (bpf_skb_load_bytes(skb, at->offset, &ip, sizeof ip) < 0 || ip.ihl < 5) return -1;
  at->offset += ip.ihl * 4;
  at->layer = after_ip(ip.protocol);
  if (at->layer == L_IP4 || at->layer == L_IP6) at->tunnels++;
  if (at->layer == L_DONE && at->tunnels) {
    __u32 address = ip.daddr;
    __u64 one = 1, *count = bpf_map_lookup_elem(&by_inner_address, &address);
    if (count) *count += 1;
    else bpf_map_update_elem(&by_inner_address, &address, &one, BPF_ANY);
  }
  return 0;
}

static __always_inline int ip6_layer(struct __sk_buff *skb, struct cursor *at) {
  struct ipv6hdr ip;
  if (bpf_skb_load_bytes(skb, at->offset, &ip, sizeof ip) < 0) return -1;
  at->offset += sizeof ip;
  __u8 next = ip.nexthdr;
  for (int i = 0; i < 4; i++) {
    __u8 extension[2];
    if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS) break;
    if (bpf_skb_load_bytes(skb, at->offset, extension, 2) < 0) return -1;
    next = extension[0];
    at->offset += (extension[1] + 1) * 8;
  }
  at->layer = after_ip(next);
  if (at->layer == L_IP4 || at->layer == L_IP6) at->tunnels++;
  return 0;
}

static __always_inline int udp_layer(struct __sk_buff *skb, struct cursor *at) {
  struct udphdr udp;
  if (bpf_skb_load_bytes(skb, at->offset, &udp, sizeof udp) < 0) return -1;
  at->offset += sizeof udp;
  at->layer = L_DONE;
  if (udp.dest != bpf_htons(4789)) return 0;
  at->offset += 8;
  at->tunnels++;
  at->layer = L_ETH;
  return 0;
}

static __always_inline int gre_layer(struct __sk_buff *skb, struct cursor *at) {
  __be16 gre[2];
  if (bpf_skb_load_bytes(skb, at->offset, gre, sizeof gre) < 0) return -1;
  at->offset += 4;
  if (gre[0] & bpf_htons(0x8000)) at->offset += 4;
  if (gre[0] & bpf_htons(0x2000)) at->offset += 4;
  if (gre[0] & bpf_htons(0x1000)) at->offset += 4;
  at->tunnels++;
  at->layer = gre[1] == bpf_htons(ETH_P_IP) ? L_IP4 : gre[1] == bpf_htons(ETH_P_IPV6) ? L_IP6
            : gre[1] == bpf_htons(ETH_P_TEB) ? L_ETH : L_DONE;
  return 0;
}

SEC("tc")
int nested(struct __sk_buff *skb) {
  struct cursor at = {.offset = 0, .layer = L_ETH};
  for (int i = 0; i < DEPTH; i++) {
    int result = 0;
    switch (at.layer) {
      case L_ETH: result = eth_layer(skb, &at); break;
      case L_IP4: result = ip4_layer(skb, &at); break;
      case L_IP6: result = ip6_layer(skb, &at); break;
      case L_UDP: result = udp_layer(skb, &at); break;
      case L_GRE: result = gre_layer(skb, &at); break;
    }
    if (result < 0) return TC_ACT_SHOT;
    if (at.layer == L_DONE) break;
  }
  __u32 index = at.tunnels & 15;
  __u64 *count = bpf_map_lookup_elem(&depths, &index);
  if (count) *count += 1;
  skb->mark = at.tunnels << 8 | at.vlans;
  return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
