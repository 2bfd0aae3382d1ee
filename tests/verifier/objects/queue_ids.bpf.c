// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Tags flows with short ids from a stack of free ones; a bloom filter keeps the slow way from the
// common packets. An id returns when its connection closes, falls idle or has used its budget of
// bytes.
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
  __u64 last_ns;
};
enum reason {
  R_NOT_IP,
  R_SHORT,
  R_FRAGMENT,
  R_KNOWN,
  R_FRESH,
  R_NO_ID,
  R_RACE,
  R_CLOSED,
  R_SPENT,
  R_IDLE,
  R_REASONS
};
MAP(BPF_MAP_TYPE_HASH, tags, struct flow_key, struct tag, 1024);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, reasons, __u32, __u64, R_REASONS);
const volatile __u64 budget_bytes = 1 << 30;
const volatile __u64 idle_ns = 60000000000ull;

struct found {
  struct flow_key flow;
  __u8 closing;
};

static __always_inline int because(__u32 reason) {
  __u64 *count = bpf_map_lookup_elem(&reasons, &reason);
  if (count) *count += 1;
  return TC_ACT_OK;
}

static __always_inline int ports_of(void *transport, void *data_end, struct found *found) {
  struct flow_key *flow = &found->flow;
  if (flow->protocol == IPPROTO_ICMP || flow->protocol == IPPROTO_ICMPV6) {
    __be16 *echo = transport;
    if ((void *)(echo + 4) > data_end) return R_SHORT;
    flow->source_port = echo[2];
    flow->destination_port = echo[0] & bpf_htons(0xff00);
    return -1;
  }
  __be16 *ports = transport;
  if ((void *)(ports + 2) > data_end) return R_SHORT;
  flow->source_port = ports[0];
  flow->destination_port = ports[1];
  if (flow->protocol == IPPROTO_TCP) {
    struct tcphdr *tcp = transport;
    if ((void *)(tcp + 1) > data_end) return R_SHORT;
    found->closing = tcp->fin || tcp->rst;
  }
  return -1;
}

// -1: found; else the reason.
static __always_inline int flow_of(struct __sk_buff *skb, struct found *found) {
  void *data = (void *)(long)skb->data;
  void *data_end = (void *)(long)skb->data_end;
  struct ethhdr *eth = data;
  struct flow_key *flow = &found->flow;
  if ((void *)(eth + 1) > data_end) return R_SHORT;
  __be16 type = eth->h_proto;
  void *network = eth + 1;
  if (type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD)) {
    struct vlan_header *tag = network;
    if ((void *)(tag + 1) > data_end) return R_SHORT;
    flow->pad[0] = bpf_ntohs(tag->tci) >> 8 & 15;
    flow->pad[1] = bpf_ntohs(tag->tci);
    type = tag->proto;
    network = tag + 1;
  }
  if (type == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr *six = network;
    if ((void *)(six + 1) > data_end) return R_SHORT;
    __builtin_memcpy(flow->source, &six->saddr, 32);
    flow->protocol = six->nexthdr;
    __u8 *at = (void *)(six + 1);
    if (flow->protocol == IPPROTO_HOPOPTS || flow->protocol == IPPROTO_DSTOPTS) {
      if ((void *)(at + 8) > data_end) return R_SHORT;
      flow->protocol = at[0];
      at += (at[1] + 1) * 8;
    }
    if (flow->protocol == IPPROTO_FRAGMENT) return R_FRAGMENT;
    return ports_of(at, data_end, found);
  }
  if (type != bpf_htons(ETH_P_IP)) return R_NOT_IP;
  struct iphdr *four = network;
  if ((void *)(four + 1) > data_end || four->ihl < 5) return R_SHORT;
  if (four->frag_off & bpf_htons(0x3fff)) return R_FRAGMENT;
  flow->source[0] = four->saddr;
  flow->destination[0] = four->daddr;
  flow->protocol = four->protocol;
  return ports_of((void *)four + four->ihl * 4, data_end, found);
}

static __always_inline int give_back(struct flow_key *flow, __u32 id, __u32 reason) {
  if (bpf_map_delete_elem(&tags, flow) == 0) bpf_map_push_elem(&free_ids, &id, 0);
  return because(reason);
}

SEC("tc")
int tag_flows(struct __sk_buff *skb) {
  struct found found = {};
  int wrong = flow_of(skb, &found);
  if (wrong >= 0) return because(wrong);
  __u64 now = bpf_ktime_get_ns();
  if (bpf_map_peek_elem(&tagged, &found.flow) == 0) {
    struct tag *tag = bpf_map_lookup_elem(&tags, &found.flow);
    if (tag) {
      __u64 idle = now - tag->last_ns;
      tag->last_ns = now;
      __sync_fetch_and_add(&tag->uses, 1);
      __sync_fetch_and_add(&tag->bytes, skb->len);
      skb->mark = tag->id;
      if (found.closing) return give_back(&found.flow, tag->id, R_CLOSED);
      if (idle > idle_ns) return give_back(&found.flow, tag->id, R_IDLE);
      if (tag->bytes >= budget_bytes) return give_back(&found.flow, tag->id, R_SPENT);
      return because(R_KNOWN);
    }
  }
  if (found.closing) return because(R_CLOSED);
  __u32 id = 0;
  if (bpf_map_pop_elem(&free_ids, &id)) return because(R_NO_ID);
  struct tag fresh = {.id = id, .uses = 1, .bytes = skb->len, .last_ns = now};
  if (bpf_map_update_elem(&tags, &found.flow, &fresh, BPF_NOEXIST)) {
    bpf_map_push_elem(&free_ids, &id, BPF_EXIST);
    return because(R_RACE);
  }
  bpf_map_push_elem(&tagged, &found.flow, 0);
  skb->mark = id;
  return because(R_FRESH);
}

char LICENSE[] SEC("license") = "GPL";
