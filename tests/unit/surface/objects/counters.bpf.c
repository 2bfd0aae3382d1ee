// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Counters in each way that C has for them: added to alone, given away, and read.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct value {
  __u64 packets;
  __u32 small;
  __u32 large;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 4);
  __type(key, __u32);
  __type(value, struct value);
} added SEC(".maps"), given SEC(".maps"), looked_at SEC(".maps");

__u64 total;

__attribute__((noinline)) int bump(__u64 *counter) {
  if (!counter) return 0;
  __sync_fetch_and_add(counter, 1);
  return 1;
}

SEC("socket")
int counts(struct __sk_buff *skb) {
  __u32 key = 1;
  struct value *value = bpf_map_lookup_elem(&added, &key);
  if (!value) return 0;
  __sync_fetch_and_add(&value->packets, 1);
  if (skb->len < 100) {
    __sync_fetch_and_add(&value->small, 1);
  } else {
    __sync_fetch_and_add(&value->large, 1);
  }
  __sync_fetch_and_add(&total, 1);
  value = bpf_map_lookup_elem(&given, &key);
  if (value) bump(&value->packets);
  value = bpf_map_lookup_elem(&looked_at, &key);
  if (value && __sync_fetch_and_add(&value->packets, 1) > 1000) return 0;
  return 7;
}

char LICENSE[] SEC("license") = "GPL";
