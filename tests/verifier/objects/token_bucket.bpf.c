// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A rate limiter: two token buckets a source (committed and peak, as a three-colour marker has
// them) under a spin lock; classes of service by DSCP, IPv6 sources by their /64. What exceeds the
// committed rate is marked down, not dropped.
#include "common.h"

#define DSCP_LOW_DROP 10
#define DSCP_HIGH_DROP 14
enum colour { GREEN, YELLOW, RED, COLOURS };
struct source_key {
  __u64 network;
  __u32 vlan;
  __u32 family;
};
struct bucket {
  struct bpf_spin_lock lock;
  __u32 pad;
  __u64 committed;
  __u64 peak;
  __u64 last_ns;
  __u64 bytes[COLOURS];
};
struct limit {
  __u64 bytes_per_ms, burst;
  __u64 peak_per_ms, peak_burst;
};
struct totals {
  __u64 packets[COLOURS];
  __u64 bytes[COLOURS];
};
MAP(BPF_MAP_TYPE_HASH, buckets, struct source_key, struct bucket, 65536);
MAP(BPF_MAP_TYPE_ARRAY, limits, __u32, struct limit, 64);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, totals, __u32, struct totals, 64);

static __always_inline enum colour take(struct bucket* bucket, struct limit* limit, __u64 now,
                                        __u64 cost) {
  enum colour colour = GREEN;
  __u64 per_ms = limit->bytes_per_ms, burst = limit->burst;
  __u64 peak_per_ms = limit->peak_per_ms, peak_burst = limit->peak_burst;
  bpf_spin_lock(&bucket->lock);
  __u64 elapsed = now - bucket->last_ns;
  if (elapsed > 1000000000ull) elapsed = 1000000000ull;
  __u64 elapsed_ms = elapsed / 1000000;
  __u64 committed = bucket->committed + elapsed_ms * per_ms;
  __u64 peak = bucket->peak + elapsed_ms * peak_per_ms;
  if (committed > burst) committed = burst;
  if (peak > peak_burst) peak = peak_burst;
  if (elapsed_ms) bucket->last_ns = now;
  if (peak < cost) {
    colour = RED;
    bucket->bytes[RED] += cost;
  } else if (committed < cost) {
    colour = YELLOW;
    peak -= cost;
    bucket->bytes[YELLOW] += cost;
  } else {
    committed -= cost;
    peak -= cost;
    bucket->bytes[GREEN] += cost;
  }
  bucket->committed = committed;
  bucket->peak = peak;
  bpf_spin_unlock(&bucket->lock);
  return colour;
}

static __always_inline int mark_down(struct __sk_buff *skb, __u32 offset, int six, __u8 class) {
  __u8 dscp = (class & 0x38) == 8 ? DSCP_HIGH_DROP : DSCP_LOW_DROP;
  if (six) {
    __be16 first;
    if (bpf_skb_load_bytes(skb, offset, &first, 2) < 0) return TC_ACT_SHOT;
    first = (first & bpf_htons(0xf03f)) | bpf_htons(dscp << 6);
    return bpf_skb_store_bytes(skb, offset, &first, 2, 0) ? TC_ACT_SHOT : TC_ACT_OK;
  }
  __be16 old, fresh;
  if (bpf_skb_load_bytes(skb, offset, &old, 2) < 0) return TC_ACT_SHOT;
  fresh = (old & bpf_htons(0xff03)) | bpf_htons(dscp << 2);
  if (bpf_l3_csum_replace(skb, offset + offsetof(struct iphdr, check), old, fresh, 2))
    return TC_ACT_SHOT;
  return bpf_skb_store_bytes(skb, offset, &fresh, 2, 0) ? TC_ACT_SHOT : TC_ACT_OK;
}

static __always_inline void tally(__u32 class, enum colour colour, __u32 length) {
  struct totals *all = bpf_map_lookup_elem(&totals, &class);
  if (!all || colour >= COLOURS) return;
  all->packets[colour]++;
  all->bytes[colour] += length;
}

SEC("tc")
int police(struct __sk_buff *skb) {
  void *data = (void *)(long)skb->data;
  void *data_end = (void *)(long)skb->data_end;
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end) return TC_ACT_SHOT;
  struct source_key key = {.vlan = skb->vlan_present ? skb->vlan_tci & 0xfff : 0};
  __be16 type = eth->h_proto;
  __u32 offset = sizeof *eth;
  if (type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD)) {
    struct vlan_header *tag = data + offset;
    if ((void *)(tag + 1) > data_end) return TC_ACT_SHOT;
    key.vlan = key.vlan << 12 | (bpf_ntohs(tag->tci) & 0xfff);
    type = tag->proto;
    offset += sizeof *tag;
  }
  __u32 class;
  int six = 0;
  if (type == bpf_htons(ETH_P_IP)) {
    struct iphdr *ip = data + offset;
    if ((void *)(ip + 1) > data_end) return TC_ACT_SHOT;
    class = ip->tos >> 2;
    key.network = ip->saddr;
    key.family = 4;
  } else if (type == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr *ip = data + offset;
    if ((void *)(ip + 1) > data_end) return TC_ACT_SHOT;
    if (ip->nexthdr == IPPROTO_ICMPV6) return TC_ACT_OK;
    class = (ip->priority << 2 | ip->flow_lbl[0] >> 6) & 63;
    __builtin_memcpy(&key.network, &ip->saddr, 8);
    key.family = 6;
    six = 1;
  } else {
    return TC_ACT_OK;
  }
  struct limit *limit = bpf_map_lookup_elem(&limits, &class);
  if (!limit || limit->bytes_per_ms == 0) return TC_ACT_OK;
  __u64 now = bpf_ktime_get_ns();
  struct bucket *bucket = bpf_map_lookup_elem(&buckets, &key);
  if (!bucket) {
    struct bucket fresh = {.committed = limit->burst, .peak = limit->peak_burst, .last_ns = now};
    bpf_map_update_elem(&buckets, &key, &fresh, BPF_NOEXIST);
    bucket = bpf_map_lookup_elem(&buckets, &key);
    if (!bucket) return TC_ACT_OK;
  }
  enum colour colour = take(bucket, limit, now, skb->len);
  tally(class, colour, skb->len);
  if (colour == RED) return TC_ACT_SHOT;
  if (colour == YELLOW) return mark_down(skb, offset, six, class);
  return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
