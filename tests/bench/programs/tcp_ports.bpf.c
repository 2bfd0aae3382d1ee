// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// TCP port filter without maps: web and ssh pass, over IPv4 and IPv6.
#include "packet.h"

static __always_inline int is_allowed(__u16 port) {
  return port == 80 || port == 443 || port == 8080 || port == 22;
}

SEC("socket")
int tcp_ports(struct __sk_buff *skb) {
  __u16 source, destination;
  __u8 protocol;
  __u32 offset = transport_offset(skb, &protocol);
  if (offset == 0 || protocol != IP_TCP) return DROP;
  if (load_u16(skb, offset, &source) || load_u16(skb, offset + 2, &destination)) return DROP;
  return is_allowed(source) || is_allowed(destination) ? ACCEPT : DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
