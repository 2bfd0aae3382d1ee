// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Accepts: what running any program at all costs.
#include "packet.h"

SEC("socket")
int empty(struct __sk_buff *skb) { return ACCEPT; }

SEC("xdp")
int empty_xdp(struct xdp_md *ctx) { return XDP_PASS; }

char LICENSE[] SEC("license") = "Dual BSD/GPL";
