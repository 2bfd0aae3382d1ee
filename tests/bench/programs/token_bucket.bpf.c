// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Token bucket a traffic class (the destination's low bits): bytes are paid for, what the bucket
// has not is dropped.
#include "packet.h"

#define CLASSES 64
#define BURST_BYTES 20000ull
#define NS_A_BYTE 1000000000ull

struct bucket {
  __u64 last_ns;
  __u64 tokens;
  __u64 dropped;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, struct bucket);
  __uint(max_entries, CLASSES);
} buckets SEC(".maps");

SEC("socket")
int token_bucket(struct __sk_buff *skb) {
  __u16 type;
  __u8 low;
  if (load_u16(skb, ETH_TYPE_OFFSET, &type) || type != ETH_IPV4) return ACCEPT;
  if (load_u8(skb, ETH_LENGTH + 19, &low)) return ACCEPT;
  __u32 kind = low % CLASSES;
  struct bucket *bucket = bpf_map_lookup_elem(&buckets, &kind);
  if (!bucket) return ACCEPT;
  __u64 now_ns = bpf_ktime_get_ns();
  __u64 tokens = bucket->tokens;
  if (bucket->last_ns == 0) {
    tokens = BURST_BYTES;
    bucket->last_ns = now_ns;
  } else {
    __u64 earned = (now_ns - bucket->last_ns) / NS_A_BYTE;
    if (earned) bucket->last_ns = now_ns;
    tokens = tokens + earned > BURST_BYTES ? BURST_BYTES : tokens + earned;
  }
  if (tokens < skb->len) {
    bucket->tokens = tokens;
    bucket->dropped++;
    return DROP;
  }
  bucket->tokens = tokens - skb->len;
  return ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
