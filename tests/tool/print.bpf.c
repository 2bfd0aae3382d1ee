// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Prints once, so that a reader has one line to find.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static int packets;

SEC("socket") int print_once(struct __sk_buff *skb) {
  if (packets == 0) bpf_printk("first packet: %d bytes", skb->len);
  packets++;
  return skb->len;
}
char _license[] SEC("license") = "GPL";
