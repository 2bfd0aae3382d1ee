// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket")
int keep_all(struct __sk_buff *skb) { return skb->len; }

SEC("socket")
int keep_none(struct __sk_buff *skb) { return 0; }

char LICENSE[] SEC("license") = "GPL";
