// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket/short")
int keep_ten(struct __sk_buff *skb) { return 10; }

SEC("socket/long")
int keep_twenty(struct __sk_buff *skb) { return 20; }

SEC("?socket")
int left_out(struct __sk_buff *skb) { return 30; }

SEC("xdp")
int of_another_type(struct xdp_md *ctx) { return XDP_PASS; }

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(key_size, sizeof(__u32));
  __uint(max_entries, 3);
  __array(values, int(struct __sk_buff *));
} stages SEC(".maps") = {.values = {[0] = keep_ten, [1] = keep_twenty}};

SEC("socket")
int by_length(struct __sk_buff *skb) {
  bpf_tail_call(skb, &stages, skb->len / 100);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
