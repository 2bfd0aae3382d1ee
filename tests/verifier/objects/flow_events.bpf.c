// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Tells user space of new flows through a ring buffer, with the first bytes of the packet.
#include "common.h"

#define SNIP 64
struct event {
  __u64 time_ns;
  struct flow_key flow;
  __u32 length;
  __u8 bytes[SNIP];
};
MAP(BPF_MAP_TYPE_LRU_HASH, flows, struct flow_key, __u64, 16384);
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
} events SEC(".maps");

static __noinline int parse(struct xdp_md *ctx, struct flow_key *flow) {
  if (!flow) return 0;
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end) return 0;
  void *transport;
  if (eth->h_proto == bpf_htons(ETH_P_IP)) {
    struct iphdr *ip = (void *)(eth + 1);
    if ((void *)(ip + 1) > data_end) return 0;
    flow->source[0] = ip->saddr;
    flow->destination[0] = ip->daddr;
    flow->protocol = ip->protocol;
    transport = (void *)ip + ip->ihl * 4;
  } else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr *ip = (void *)(eth + 1);
    if ((void *)(ip + 1) > data_end) return 0;
    __builtin_memcpy(flow->source, &ip->saddr, 16);
    __builtin_memcpy(flow->destination, &ip->daddr, 16);
    flow->protocol = ip->nexthdr;
    transport = ip + 1;
  } else {
    return 0;
  }
  if (flow->protocol != IPPROTO_TCP && flow->protocol != IPPROTO_UDP) return 0;
  __be16 *ports = transport;
  if ((void *)(ports + 2) > data_end) return 0;
  flow->source_port = ports[0];
  flow->destination_port = ports[1];
  return 1;
}

SEC("xdp")
int watch(struct xdp_md *ctx) {
  struct flow_key flow = {};
  if (!parse(ctx, &flow)) return XDP_PASS;
  __u64 now = bpf_ktime_get_ns();
  __u64 *last = bpf_map_lookup_elem(&flows, &flow);
  if (last) {
    *last = now;
    return XDP_PASS;
  }
  bpf_map_update_elem(&flows, &flow, &now, BPF_ANY);
  struct event *event = bpf_ringbuf_reserve(&events, sizeof *event, 0);
  if (!event) return XDP_PASS;
  event->time_ns = now;
  event->flow = flow;
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  event->length = data_end - data;
  if (event->length < 20) {
    bpf_ringbuf_discard(event, 0);
    return XDP_PASS;
  }
  if (data + SNIP <= data_end) {
    __builtin_memcpy(event->bytes, data, SNIP);
  } else {
    __builtin_memset(event->bytes, 0, SNIP);
  }
  bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
  return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
