// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Port filter: passes untagged TCP and UDP packets (IPv4 and IPv6) whose source or destination port
// is allowed, and ARP; drops the rest. Allowed are the ports built in below (web by default) and
// those put into `allowed_ports` at run time.
//   allowed_ports: port -> anything
#include "packet.h"

#define ETH_ARP 0x0806

const volatile __u16 built_in_ports[4] = {80, 443, 8080, 8443};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __u16);
  __type(value, __u8);
  __uint(max_entries, 1024);
} allowed_ports SEC(".maps");

static __always_inline int is_allowed(__u16 port) {
  if (port == built_in_ports[0] || port == built_in_ports[1]) return 1;
  if (port == built_in_ports[2] || port == built_in_ports[3]) return 1;
  return bpf_map_lookup_elem(&allowed_ports, &port) != 0;
}

SEC("socket")
int filter_ports(struct __sk_buff *skb) {
  __u16 type, source, destination;
  __u8 protocol;
  if (load_u16(skb, ETH_TYPE_OFFSET, &type)) return DROP;
  if (type == ETH_ARP) return ACCEPT;
  __u32 offset = transport_offset(skb, &protocol);
  if (offset == 0 || (protocol != IP_TCP && protocol != IP_UDP)) return DROP;
  if (load_u16(skb, offset, &source) || load_u16(skb, offset + 2, &destination)) return DROP;
  return is_allowed(source) || is_allowed(destination) ? ACCEPT : DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
