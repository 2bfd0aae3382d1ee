// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Does not check what a lookup returned.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, int);
  __type(value, int);
  __uint(max_entries, 1);
} numbers SEC(".maps");

SEC("socket")
int reads_null(struct __sk_buff *skb) {
  int key = 0;
  int *number = bpf_map_lookup_elem(&numbers, &key);
  return *number;
}

char LICENSE[] SEC("license") = "GPL";
