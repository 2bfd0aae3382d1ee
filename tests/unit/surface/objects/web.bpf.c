// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Calls a gpl_only helper without being GPL-compatible.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket")
int web_only(struct __sk_buff *skb) {
  bpf_printk("seen");
  return 0;
}

char LICENSE[] SEC("license") = "Proprietary";
