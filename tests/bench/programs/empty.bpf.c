// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Accepts: what running any program at all costs.
#include "packet.h"

SEC("socket")
int empty(struct __sk_buff *skb) { return ACCEPT; }

char LICENSE[] SEC("license") = "Dual BSD/GPL";
