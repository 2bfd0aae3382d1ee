// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A rate limiter: a token bucket a source address, under a spin lock; classes of service by DSCP.
#include "common.h"

struct bucket {
  struct bpf_spin_lock lock;
  __u32 pad;
  __u64 tokens;
  __u64 last_ns;
  __u64 dropped;
};
struct limit {
  __u64 bytes_per_ms;
  __u64 burst;
};
MAP(BPF_MAP_TYPE_HASH, buckets, __u32, struct bucket, 65536);
MAP(BPF_MAP_TYPE_ARRAY, limits, __u32, struct limit, 64);

static __always_inline int take(struct bucket *bucket, struct limit *limit, __u64 now, __u64 cost) {
  int verdict = TC_ACT_OK;
  bpf_spin_lock(&bucket->lock);
  __u64 elapsed = now - bucket->last_ns;
  if (elapsed > 1000000000ull) elapsed = 1000000000ull;
  __u64 tokens = bucket->tokens + (elapsed / 1000000) * limit->bytes_per_ms;
  if (tokens > limit->burst) tokens = limit->burst;
  bucket->last_ns = now;
  if (tokens >= cost) {
    bucket->tokens = tokens - cost;
  } else {
    bucket->tokens = tokens;
    bucket->dropped++;
    verdict = TC_ACT_SHOT;
  }
  bpf_spin_unlock(&bucket->lock);
  return verdict;
}

SEC("tc")
int police(struct __sk_buff *skb) {
  void *data = (void *)(long)skb->data;
  void *data_end = (void *)(long)skb->data_end;
  struct ethhdr *eth = data;
  struct iphdr *ip = (void *)(eth + 1);
  if ((void *)(ip + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP)) return TC_ACT_OK;
  __u32 class = ip->tos >> 2;
  __u32 source = ip->saddr;
  struct limit *limit = bpf_map_lookup_elem(&limits, &class);
  if (!limit || limit->bytes_per_ms == 0) return TC_ACT_OK;
  __u64 now = bpf_ktime_get_ns();
  struct bucket *bucket = bpf_map_lookup_elem(&buckets, &source);
  if (!bucket) {
    struct bucket fresh = {.tokens = limit->burst, .last_ns = now};
    bpf_map_update_elem(&buckets, &source, &fresh, BPF_NOEXIST);
    bucket = bpf_map_lookup_elem(&buckets, &source);
    if (!bucket) return TC_ACT_OK;
  }
  return take(bucket, limit, now, skb->len);
}

char LICENSE[] SEC("license") = "GPL";
