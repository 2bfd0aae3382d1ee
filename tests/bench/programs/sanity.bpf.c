// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Header sanity without maps: drops IPv4 with a bad version, length or TTL, source addresses that
// no one may use, and TCP with flags that do not go together.
#include "packet.h"

struct ip_header {
  __u8 version_length;
  __u8 service;
  __be16 length;
  __be16 id;
  __be16 fragment;
  __u8 ttl;
  __u8 protocol;
  __be16 checksum;
  __be32 source;
  __be32 destination;
};

SEC("socket")
int sanity(struct __sk_buff *skb) {
  struct ip_header ip;
  __u16 type;
  __u8 flags;
  if (load_u16(skb, ETH_TYPE_OFFSET, &type) || type != ETH_IPV4) return ACCEPT;
  if (bpf_skb_load_bytes(skb, ETH_LENGTH, &ip, sizeof(ip))) return DROP;
  __u32 header = (ip.version_length & 0x0f) * 4;
  if (ip.version_length >> 4 != 4 || header < 20 || ip.ttl < 2) return DROP;
  if (bpf_ntohs(ip.length) < header || bpf_ntohs(ip.length) + ETH_LENGTH > skb->len) return DROP;
  __u32 source = bpf_ntohl(ip.source);
  if (source >> 24 == 127 || source >> 28 == 14 || source == 0 || source == 0xffffffff) return DROP;
  if (ip.protocol != IP_TCP || (bpf_ntohs(ip.fragment) & 0x1fff)) return ACCEPT;
  if (load_u8(skb, ETH_LENGTH + header + 13, &flags)) return DROP;
  if ((flags & 0x03) == 0x03 || (flags & 0x06) == 0x06 || (flags & 0x3f) == 0) return DROP;
  return ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
