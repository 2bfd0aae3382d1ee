// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Calls what its licence forbids.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket") int print_freely(struct __sk_buff *skb) {
  bpf_printk("packet");
  return skb->len;
}
char _license[] SEC("license") = "Proprietary";
