// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Hands a packet on by tail calls: by Ethertype, then by IP protocol.
#include "common.h"

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 8);
  __type(key, __u32);
  __type(value, __u32);
} stages SEC(".maps");
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, tallies, __u32, __u64, 64);

static __always_inline void tally(__u32 what) {
  __u64 *count = bpf_map_lookup_elem(&tallies, &what);
  if (count) *count += 1;
}

SEC("tc")
int stage_tcp(struct __sk_buff *skb) {
  void *data = (void *)(long)skb->data;
  void *data_end = (void *)(long)skb->data_end;
  __u32 offset = ETH_HLEN + (skb->cb[0] & 60);
  struct tcphdr *tcp = data + offset;
  if ((void *)(tcp + 1) > data_end) return TC_ACT_SHOT;
  tally(tcp->syn ? 20 : tcp->fin ? 21 : tcp->rst ? 22 : 23);
  return TC_ACT_OK;
}

SEC("tc")
int stage_ip(struct __sk_buff *skb) {
  void *data = (void *)(long)skb->data;
  void *data_end = (void *)(long)skb->data_end;
  struct iphdr *ip = data + ETH_HLEN;
  if ((void *)(ip + 1) > data_end) return TC_ACT_SHOT;
  skb->cb[0] = ip->ihl * 4;
  tally(10);
  if (ip->protocol == IPPROTO_TCP) bpf_tail_call(skb, &stages, 1);
  bpf_tail_call(skb, &stages, ip->protocol & 7);
  return TC_ACT_OK;
}

SEC("tc")
int entry(struct __sk_buff *skb) {
  tally(0);
  if (skb->protocol == bpf_htons(ETH_P_IP)) bpf_tail_call(skb, &stages, 0);
  tally(1);
  return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
