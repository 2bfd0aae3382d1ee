// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Packet-size histogram: packets by wire length in powers of two. Bucket n counts lengths of 2^n to
// 2^(n+1)-1; the last one takes all above. Passes everything.
//   size_packets: bucket (0 to 16) -> count
//   size_bytes: bucket -> bytes
#include "packet.h"

#define BUCKETS 17

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, __u64);
  __uint(max_entries, BUCKETS);
} size_packets SEC(".maps"), size_bytes SEC(".maps");

static __always_inline __u32 log2_floor(__u32 value) {
  __u32 result = 0;
  if (value >> 16) value >>= 16, result += 16;
  if (value >> 8) value >>= 8, result += 8;
  if (value >> 4) value >>= 4, result += 4;
  if (value >> 2) value >>= 2, result += 2;
  if (value >> 1) result += 1;
  return result;
}

SEC("socket")
int count_sizes(struct __sk_buff *skb) {
  __u32 bucket = log2_floor(skb->len);
  if (bucket >= BUCKETS) bucket = BUCKETS - 1;
  __u64 *packets = bpf_map_lookup_elem(&size_packets, &bucket);
  if (packets) __sync_fetch_and_add(packets, 1);
  __u64 *bytes = bpf_map_lookup_elem(&size_bytes, &bucket);
  if (bytes) __sync_fetch_and_add(bytes, skb->len);
  return ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
