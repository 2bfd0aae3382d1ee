// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// One lookup, or with UPDATE one overwriting, a packet, whose first bytes are the key: what a burst
// of 32 packets makes of one map.
#include "packet.h"

struct key {
  __u32 words[KEY_SIZE / 4];
};

struct {
  __uint(type, MAP_TYPE);
  __type(key, struct key);
  __type(value, __u64);
  __uint(max_entries, ENTRIES);
} table SEC(".maps");

SEC("socket")
int map_burst(struct __sk_buff *skb) {
  struct key key;
  if (bpf_skb_load_bytes(skb, 0, &key, sizeof(key))) return DROP;
#ifdef UPDATE
  __u64 one = 1;
  return bpf_map_update_elem(&table, &key, &one, BPF_EXIST) ? DROP : 1;
#else
  __u64 *value = bpf_map_lookup_elem(&table, &key);
  return value ? *value : DROP;
#endif
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
