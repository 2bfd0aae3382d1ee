// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Checks ICMP errors against the flows they quote; answers "packet too big" for oversized packets
// by rebuilding the frame.
#include "common.h"

struct icmp {
  __u8 type, code;
  __be16 check;
  __be16 unused, mtu;
};
MAP(BPF_MAP_TYPE_LRU_HASH, known, struct flow_key, __u64, 32768);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, counts, __u32, __u64, 8);
const volatile __u32 limit = 1400;

static __always_inline void count(__u32 what) {
  __u64 *counter = bpf_map_lookup_elem(&counts, &what);
  if (counter) *counter += 1;
}

static __noinline int quoted_is_known(struct iphdr *quoted, void *data_end) {
  if ((void *)(quoted + 1) > data_end || quoted->ihl != 5) return 0;
  __be16 *ports = (void *)(quoted + 1);
  if ((void *)(ports + 2) > data_end) return 0;
  struct flow_key flow = {};
  flow.source[0] = quoted->daddr;
  flow.destination[0] = quoted->saddr;
  flow.source_port = ports[1];
  flow.destination_port = ports[0];
  flow.protocol = quoted->protocol;
  return bpf_map_lookup_elem(&known, &flow) != 0;
}

static __always_inline int too_big(struct xdp_md *ctx, __u32 source, __u32 destination) {
  const int room = sizeof(struct iphdr) + sizeof(struct icmp);
  if (bpf_xdp_adjust_head(ctx, -room)) return XDP_DROP;
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  if (data + ETH_HLEN + room + 28 > data_end) return XDP_DROP;
  struct ethhdr *eth = data, *old = data + room;
  if ((void *)(old + 1) > data_end) return XDP_DROP;
  __builtin_memcpy(eth->h_dest, old->h_source, 6);
  __builtin_memcpy(eth->h_source, old->h_dest, 6);
  eth->h_proto = old->h_proto;
  struct iphdr *ip = (void *)(eth + 1);
  struct icmp *icmp = (void *)(ip + 1);
  __builtin_memset(ip, 0, sizeof *ip);
  ip->version = 4;
  ip->ihl = 5;
  ip->ttl = 64;
  ip->protocol = IPPROTO_ICMP;
  ip->tot_len = bpf_htons(room + 28);
  ip->saddr = destination;
  ip->daddr = source;
  icmp->type = 3;
  icmp->code = 4;
  icmp->check = 0;
  icmp->unused = 0;
  icmp->mtu = bpf_htons(limit);
  icmp->check = fold_checksum(bpf_csum_diff(0, 0, (__be32 *)icmp, sizeof *icmp + 28, 0));
  ip->check = fold_checksum(bpf_csum_diff(0, 0, (__be32 *)ip, sizeof *ip, 0));
  __u32 length = data_end - data;
  if (length > ETH_HLEN + room + 28)
    bpf_xdp_adjust_tail(ctx, (int)(ETH_HLEN + room + 28) - (int)length);
  return XDP_TX;
}

SEC("xdp")
int errors(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  struct iphdr *ip = (void *)(eth + 1);
  if ((void*)(ip + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5)
    return XDP_PASS;
  if (ip->protocol == IPPROTO_ICMP) {
    struct icmp *icmp = (void *)(ip + 1);
    if ((void *)(icmp + 1) > data_end) return XDP_DROP;
    if (icmp->type != 3 && icmp->type != 11) return XDP_PASS;
    int good = quoted_is_known((void *)(icmp + 1), data_end);
    count(good);
    return good ? XDP_PASS : XDP_DROP;
  }
  __u32 length = bpf_ntohs(ip->tot_len);
  if (length <= limit || !(ip->frag_off & bpf_htons(0x4000))) return XDP_PASS;
  count(2);
  return too_big(ctx, ip->saddr, ip->daddr);
}

char LICENSE[] SEC("license") = "GPL";
