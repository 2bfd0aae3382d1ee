// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// tc classifier by direct packet access: TCP and UDP over IPv4 and IPv6, also behind a VLAN tag, by
// service port; the class goes to skb->priority and is counted. A packet whose hops are used up is
// dropped.
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

#include "packet.h"

enum { CLASS_OTHER, CLASS_EXPIRED, CLASS_WEB, CLASS_INTERACTIVE, CLASS_BULK, CLASSES };

struct traffic {
  __u64 packets;
  __u64 bytes;
};

struct vlan {
  __be16 tag;
  __be16 type;
};

struct ports {
  __be16 source;
  __be16 destination;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __be16);
  __type(value, __u32);
  __uint(max_entries, 1024);
} port_classes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, struct traffic);
  __uint(max_entries, CLASSES);
} classes SEC(".maps");

static __always_inline __u32 class_of_transport(__u8 *at, __u8 *end, __u8 protocol) {
  struct ports *ports = (struct ports *)at;
  if ((protocol != IP_TCP && protocol != IP_UDP) || (__u8 *)(ports + 1) > end) return CLASS_OTHER;
  __u32 *kind = bpf_map_lookup_elem(&port_classes, &ports->destination);
  if (!kind) kind = bpf_map_lookup_elem(&port_classes, &ports->source);
  return kind ? *kind : CLASS_OTHER;
}

static __always_inline __u32 class_of_ipv4(__u8 *at, __u8 *end) {
  struct iphdr *ip = (struct iphdr *)at;
  if ((__u8 *)(ip + 1) > end) return CLASS_OTHER;
  if (ip->ttl < 2) return CLASS_EXPIRED;
  if (ip->frag_off & bpf_htons(0x1fff)) return CLASS_OTHER;
  return class_of_transport(at + ip->ihl * 4, end, ip->protocol);
}

static __always_inline __u32 class_of_ipv6(__u8 *at, __u8 *end) {
  struct ipv6hdr *ip = (struct ipv6hdr *)at;
  if ((__u8 *)(ip + 1) > end) return CLASS_OTHER;
  if (ip->hop_limit < 2) return CLASS_EXPIRED;
  return class_of_transport((__u8 *)(ip + 1), end, ip->nexthdr);
}

static __always_inline __u32 class_of(__u8 *at, __u8 *end) {
  struct ethhdr *eth = (struct ethhdr *)at;
  struct vlan *vlan = (struct vlan *)(eth + 1);
  if ((__u8 *)vlan > end) return CLASS_OTHER;
  __be16 type = eth->h_proto;
  at = (__u8 *)vlan;
  if (type == bpf_htons(ETH_P_8021Q)) {
    if ((__u8 *)(vlan + 1) > end) return CLASS_OTHER;
    type = vlan->type;
    at = (__u8 *)(vlan + 1);
  }
  if (type == bpf_htons(ETH_P_IP)) return class_of_ipv4(at, end);
  return type == bpf_htons(ETH_P_IPV6) ? class_of_ipv6(at, end) : CLASS_OTHER;
}

SEC("tc")
int tc_classify(struct __sk_buff *skb) {
  __u32 kind = class_of((__u8 *)(long)skb->data, (__u8 *)(long)skb->data_end);
  struct traffic *seen = bpf_map_lookup_elem(&classes, &kind);
  if (seen) {
    __sync_fetch_and_add(&seen->packets, 1);
    __sync_fetch_and_add(&seen->bytes, skb->len);
  }
  skb->priority = kind;
  return kind == CLASS_EXPIRED ? TC_ACT_SHOT : TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
