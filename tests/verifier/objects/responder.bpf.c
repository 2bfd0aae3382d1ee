// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Answers ICMP echo and ARP from the driver; global functions, each verified by itself.
#include "common.h"

struct echo {
  __u8 type, code;
  __be16 check, id, sequence;
};
struct arp {
  __be16 hardware, protocol;
  __u8 hardware_size, protocol_size;
  __be16 operation;
  __u8 sender_mac[6];
  __u8 sender_ip[4];
  __u8 target_mac[6];
  __u8 target_ip[4];
} __attribute__((packed));
struct totals {
  __u64 echoes, arps, others;
};
struct addresses {
  __u32 list[16];
};
MAP(BPF_MAP_TYPE_ARRAY, mine, __u32, struct addresses, 1);
struct totals totals = {};

int is_mine(__u32 address) {
  __u32 zero = 0;
  struct addresses *known = bpf_map_lookup_elem(&mine, &zero);
  if (!known) return 0;
  for (int i = 0; i < 16; i++) {
    if (known->list[i] == address) return 1;
  }
  return 0;
}

__attribute__((noinline)) int swap_macs(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end) return 0;
  __u8 mac[6];
  __builtin_memcpy(mac, eth->h_source, 6);
  __builtin_memcpy(eth->h_source, eth->h_dest, 6);
  __builtin_memcpy(eth->h_dest, mac, 6);
  return 1;
}

__attribute__((noinline)) int bump(struct totals *which, int what) {
  if (!which) return 0;
  if (what == 0) which->echoes++;
  else if (what == 1) which->arps++;
  else which->others++;
  return what;
}

static __noinline int answer_echo(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct iphdr *ip = data + ETH_HLEN;
  struct echo *echo = (void *)(ip + 1);
  if ((void*)(echo + 1) > data_end || ip->ihl != 5 || ip->protocol != IPPROTO_ICMP) return XDP_PASS;
  if (echo->type != 8 || !is_mine(ip->daddr)) return XDP_PASS;
  __be32 address = ip->saddr;
  ip->saddr = ip->daddr;
  ip->daddr = address;
  echo->type = 0;
  __u32 sum = echo->check + bpf_htons(0x0800);
  echo->check = sum + (sum >> 16);
  bump(&totals, 0);
  return swap_macs(ctx) ? XDP_TX : XDP_PASS;
}

static __noinline int answer_arp(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  struct arp *arp = data + ETH_HLEN;
  if ((void *)(arp + 1) > data_end || arp->operation != bpf_htons(1)) return XDP_PASS;
  __u32 target;
  __builtin_memcpy(&target, arp->target_ip, 4);
  if (!is_mine(target)) return XDP_PASS;
  arp->operation = bpf_htons(2);
  __builtin_memcpy(arp->target_mac, arp->sender_mac, 6);
  __builtin_memcpy(arp->target_ip, arp->sender_ip, 4);
  __builtin_memcpy(arp->sender_mac, eth->h_dest, 6);
  __builtin_memcpy(arp->sender_ip, &target, 4);
  bump(&totals, 1);
  return swap_macs(ctx) ? XDP_TX : XDP_PASS;
}

SEC("xdp")
int respond(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end) return XDP_PASS;
  if (eth->h_proto == bpf_htons(ETH_P_IP)) return answer_echo(ctx);
  if (eth->h_proto == bpf_htons(ETH_P_ARP)) return answer_arp(ctx);
  bump(&totals, 2);
  return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
