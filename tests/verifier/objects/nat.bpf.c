// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Source NAT for IPv4: ports from a queue of free ones, checksums mended with the helpers.
#include "common.h"

struct translation {
  __u32 address;
  __u16 port;
  __u16 pad;
  __u64 last_ns;
};
struct {
  __uint(type, BPF_MAP_TYPE_QUEUE);
  __type(value, __u16);
  __uint(max_entries, 16384);
} free_ports SEC(".maps");
MAP(BPF_MAP_TYPE_HASH, outward, struct flow_key, struct translation, 16384);
MAP(BPF_MAP_TYPE_HASH, inward, struct flow_key, struct translation, 16384);

const volatile __u32 public_address = 0x0100000a;

#define IP_CHECK (ETH_HLEN + offsetof(struct iphdr, check))
#define IP_SOURCE (ETH_HLEN + offsetof(struct iphdr, saddr))
#define L4 (ETH_HLEN + sizeof(struct iphdr))

static __always_inline int rewrite(struct __sk_buff* skb, __u8 protocol, __u32 old_address,
                                   __u32 address, __u16 old_port, __u16 port) {
  __u32 check = L4 + (protocol == IPPROTO_TCP ? offsetof(struct tcphdr, check)
                                              : offsetof(struct udphdr, check));
  __u64 flags = protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
  if (bpf_l4_csum_replace(skb, check, old_address, address, flags | BPF_F_PSEUDO_HDR | 4))
    return TC_ACT_SHOT;
  if (bpf_l4_csum_replace(skb, check, old_port, port, flags | 2)) return TC_ACT_SHOT;
  if (bpf_l3_csum_replace(skb, IP_CHECK, old_address, address, 4)) return TC_ACT_SHOT;
  if (bpf_skb_store_bytes(skb, IP_SOURCE, &address, 4, 0)) return TC_ACT_SHOT;
  if (bpf_skb_store_bytes(skb, L4, &port, 2, 0)) return TC_ACT_SHOT;
  return TC_ACT_OK;
}

SEC("tc")
int translate(struct __sk_buff *skb) {
  if (bpf_skb_pull_data(skb, L4 + sizeof(struct tcphdr))) return TC_ACT_OK;
  void *data = (void *)(long)skb->data;
  void *data_end = (void *)(long)skb->data_end;
  struct ethhdr *eth = data;
  struct iphdr *ip = (void *)(eth + 1);
  __be16 *ports = (void *)(ip + 1);
  if ((void *)(ports + 2) > data_end) return TC_ACT_OK;
  if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5) return TC_ACT_OK;
  if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP) return TC_ACT_OK;
  struct flow_key flow = {};
  flow.source[0] = ip->saddr;
  flow.destination[0] = ip->daddr;
  flow.source_port = ports[0];
  flow.destination_port = ports[1];
  flow.protocol = ip->protocol;
  __u64 now = bpf_ktime_get_ns();
  struct translation *known = bpf_map_lookup_elem(&outward, &flow);
  if (known) {
    known->last_ns = now;
    return rewrite(skb, flow.protocol, flow.source[0], known->address, flow.source_port,
                   known->port);
  }
  __u16 port = 0;
  if (bpf_map_pop_elem(&free_ports, &port)) return TC_ACT_SHOT;
  struct translation fresh = {.address = public_address, .port = bpf_htons(port), .last_ns = now};
  struct flow_key back = {};
  back.source[0] = flow.destination[0];
  back.destination[0] = public_address;
  back.source_port = flow.destination_port;
  back.destination_port = fresh.port;
  back.protocol = flow.protocol;
  struct translation original = {
      .address = flow.source[0], .port = flow.source_port, .last_ns = now};
  if (bpf_map_update_elem(&outward, &flow, &fresh, BPF_NOEXIST) ||
      bpf_map_update_elem(&inward, &back, &original, BPF_NOEXIST)) {
    bpf_map_push_elem(&free_ports, &port, 0);
    return TC_ACT_SHOT;
  }
  return rewrite(skb, flow.protocol, flow.source[0], public_address, flow.source_port, fresh.port);
}

char LICENSE[] SEC("license") = "GPL";
