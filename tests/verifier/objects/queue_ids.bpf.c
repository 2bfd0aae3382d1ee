// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Tags flows with short ids from a stack of free ones; a bloom filter keeps the slow way from the common packets.
#include "common.h"

struct {
  __uint(type, BPF_MAP_TYPE_STACK);
  __type(value, __u32);
  __uint(max_entries, 1024);
} free_ids SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
  __type(value, struct flow_key);
  __uint(max_entries, 4096);
  __uint(map_extra, 3);
} tagged SEC(".maps");
struct tag {
  __u32 id;
  __u32 uses;
  __u64 bytes;
};
MAP(BPF_MAP_TYPE_HASH, tags, struct flow_key, struct tag, 1024);

static __always_inline int flow_of(struct __sk_buff *skb, struct flow_key *flow) {
  void *data = (void *)(long)skb->data;
  void *data_end = (void *)(long)skb->data_end;
  struct ethhdr *eth = data;
  struct ipv6hdr *six = (void *)(eth + 1);
  struct iphdr *four = (void *)(eth + 1);
  __be16 *ports;
  if (eth + 1 > (struct ethhdr *)data_end) return -1;
  if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
    if ((void *)(six + 1) > data_end) return -1;
    __builtin_memcpy(flow->source, &six->saddr, 32);
    flow->protocol = six->nexthdr;
    ports = (void *)(six + 1);
  } else {
    if ((void *)(four + 1) > data_end || four->ihl < 5) return -1;
    flow->source[0] = four->saddr;
    flow->destination[0] = four->daddr;
    flow->protocol = four->protocol;
    ports = (void *)four + four->ihl * 4;
  }
  if ((void *)(ports + 2) > data_end) return -1;
  flow->source_port = ports[0];
  flow->destination_port = ports[1];
  return 0;
}

SEC("tc")
int tag_flows(struct __sk_buff *skb) {
  struct flow_key flow = {};
  if (flow_of(skb, &flow)) return TC_ACT_OK;
  if (bpf_map_peek_elem(&tagged, &flow) == 0) {
    struct tag *tag = bpf_map_lookup_elem(&tags, &flow);
    if (tag) {
      __sync_fetch_and_add(&tag->uses, 1);
      __sync_fetch_and_add(&tag->bytes, skb->len);
      skb->mark = tag->id;
      if (tag->bytes < 1 << 30) return TC_ACT_OK;
      __u32 id = tag->id;
      bpf_map_delete_elem(&tags, &flow);
      bpf_map_push_elem(&free_ids, &id, 0);
      return TC_ACT_OK;
    }
  }
  __u32 id = 0;
  if (bpf_map_pop_elem(&free_ids, &id)) return TC_ACT_OK;
  struct tag fresh = {.id = id, .uses = 1, .bytes = skb->len};
  if (bpf_map_update_elem(&tags, &flow, &fresh, BPF_NOEXIST)) {
    bpf_map_push_elem(&free_ids, &id, BPF_EXIST);
    return TC_ACT_OK;
  }
  bpf_map_push_elem(&tagged, &flow, 0);
  skb->mark = id;
  return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
