// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Global data of every kind, in a section of no program type.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile int added = 100;
int counter = 5;
int runs;
extern int LINUX_KERNEL_VERSION __kconfig;

SEC("some/section")
int sums(struct __sk_buff *skb) {
  if (LINUX_KERNEL_VERSION < 6 << 16) return 0;
  runs++;
  counter++;
  return runs + 5 == counter ? counter + added : 0;
}

char LICENSE[] SEC("license") = "GPL";
