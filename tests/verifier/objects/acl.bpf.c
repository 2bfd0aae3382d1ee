// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// An access list: longest prefix by source, IPv4 and IPv6, then rules of the group in an inner map,
// in order. Behind VLAN tags too; fragments, options and TCP flags are told apart, every verdict is
// counted by its reason.
#include "common.h"

#define RULES 32
struct prefix4 {
  __u32 bits;
  __u32 address;
};
struct prefix6 {
  __u32 bits;
  __u32 address[4];
};
struct rule {
  __u16 port_low, port_high;
  __u8 protocol;
  __u8 action;
  __u8 flags, flags_mask;
};
struct group {
  struct rule rules[RULES];
  __u64 hits[RULES];
  __u32 count;
  __u32 otherwise;
};
struct subject {
  __u8 protocol;
  __u8 flags;
  __u16 port;
  __u32 vlan;
  void *transport;
};
enum reason {
  R_SHORT,
  R_FRAGMENT,
  R_NO_PREFIX,
  R_NO_TENANT,
  R_NO_GROUP,
  R_RULE,
  R_OTHER_TYPE,
  R_BAD_FLAGS,
  R_REASONS
};
#define TRIE(map_name, key_type)                \
  struct {                                      \
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);        \
    __type(key, key_type);                      \
    __type(value, __u32);                       \
    __uint(max_entries, 4096);                  \
    __uint(map_flags, BPF_F_NO_PREALLOC);       \
  } map_name SEC(".maps")
TRIE(sources, struct prefix4);
TRIE(sources6, struct prefix6);
struct inner {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __u32);
  __type(value, struct group);
  __uint(max_entries, 16);
} default_inner SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 4);
  __type(key, __u32);
  __array(values, struct inner);
} tenants SEC(".maps") = {.values = {[0] = &default_inner}};
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, reasons, __u32, __u64, R_REASONS);

static __always_inline int because(__u32 reason, int action) {
  __u64 *count = bpf_map_lookup_elem(&reasons, &reason);
  if (count) *count += 1;
  return action;
}

static __always_inline int match(struct group *group, struct subject *subject) {
  __u32 count = group->count;
  if (count > RULES) count = RULES;
  for (__u32 i = 0; i < RULES; i++) {
    if (i >= count) break;
    struct rule *rule = &group->rules[i];
    if (rule->protocol && rule->protocol != subject->protocol) continue;
    if (subject->port < rule->port_low || subject->port > rule->port_high) continue;
    if ((subject->flags & rule->flags_mask) != rule->flags) continue;
    __sync_fetch_and_add(&group->hits[i], 1);
    return rule->action;
  }
  return group->otherwise;
}

// The group's number, or 0; *reason says why.
static __always_inline __u32 group_of_4(struct iphdr* ip, void* data_end, struct subject* subject,
                                        __u32* reason) {
  if ((void *)(ip + 1) > data_end || ip->ihl < 5) return *reason = R_SHORT, 0;
  if (ip->frag_off & bpf_htons(0x1fff)) return *reason = R_FRAGMENT, 0;
  struct prefix4 from = {32, ip->saddr};
  subject->protocol = ip->protocol;
  subject->transport = (void *)ip + ip->ihl * 4;
  __u32 *number = bpf_map_lookup_elem(&sources, &from);
  *reason = R_NO_PREFIX;
  return number ? *number : 0;
}

static __always_inline __u32 group_of_6(struct ipv6hdr* ip, void* data_end, struct subject* subject,
                                        __u32* reason) {
  if ((void *)(ip + 1) > data_end) return *reason = R_SHORT, 0;
  __u8 next = ip->nexthdr;
  __u8 *at = (void *)(ip + 1);
  for (int i = 0; i < 3; i++) {
    if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS) break;
    if ((void *)(at + 8) > data_end) return *reason = R_SHORT, 0;
    next = at[0];
    at += (at[1] + 1) * 8;
  }
  if (next == IPPROTO_FRAGMENT) return *reason = R_FRAGMENT, 0;
  struct prefix6 from = {.bits = 128};
  __builtin_memcpy(from.address, &ip->saddr, 16);
  subject->protocol = next;
  subject->transport = at;
  __u32 *number = bpf_map_lookup_elem(&sources6, &from);
  *reason = R_NO_PREFIX;
  return number ? *number : 0;
}

// 0: what the rules ask for was read. Flags that no sender sets together are a scan's.
static __always_inline int read_transport(struct subject *subject, void *data_end) {
  if (subject->protocol == IPPROTO_TCP) {
    struct tcphdr *tcp = subject->transport;
    if ((void *)(tcp + 1) > data_end) return R_SHORT;
    subject->port = bpf_ntohs(tcp->dest);
    subject->flags = ((__u8 *)tcp)[13];
    if ((subject->flags & 3) == 3 || (subject->flags & 6) == 6 || (subject->flags & 0x3f) == 0)
      return R_BAD_FLAGS;
  } else if (subject->protocol == IPPROTO_UDP) {
    struct udphdr *udp = subject->transport;
    if ((void *)(udp + 1) > data_end) return R_SHORT;
    subject->port = bpf_ntohs(udp->dest);
  } else if (subject->protocol == IPPROTO_ICMP || subject->protocol == IPPROTO_ICMPV6) {
    __u8 *type = subject->transport;
    if ((void *)(type + 4) > data_end) return R_SHORT;
    subject->port = type[0] << 8 | type[1];
  }
  return -1;
}

SEC("xdp")
int decide(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end) return because(R_SHORT, XDP_DROP);
  struct subject subject = {};
  __be16 type = eth->h_proto;
  void *network = eth + 1;
  for (int i = 0; i < 2; i++) {
    struct vlan_header *tag = network;
    if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD)) break;
    if ((void *)(tag + 1) > data_end) return because(R_SHORT, XDP_DROP);
    subject.vlan = bpf_ntohs(tag->tci) & 0xfff;
    type = tag->proto;
    network = tag + 1;
  }
  __u32 number, reason;
  if (type == bpf_htons(ETH_P_IP)) number = group_of_4(network, data_end, &subject, &reason);
  else if (type == bpf_htons(ETH_P_IPV6)) number = group_of_6(network, data_end, &subject, &reason);
  else return because(R_OTHER_TYPE, XDP_PASS);
  if (!number) return because(reason, XDP_DROP);
  int wrong = read_transport(&subject, data_end);
  if (wrong >= 0) return because(wrong, XDP_DROP);
  __u32 tenant = subject.vlan ? subject.vlan & 3 : number >> 16;
  __u32 group_number = number & 0xffff;
  void *groups = bpf_map_lookup_elem(&tenants, &tenant);
  if (!groups) return because(R_NO_TENANT, XDP_DROP);
  struct group *group = bpf_map_lookup_elem(groups, &group_number);
  if (!group) return because(R_NO_GROUP, XDP_DROP);
  int action = match(group, &subject);
  return because(R_RULE, action > XDP_REDIRECT ? XDP_ABORTED : action);
}

char LICENSE[] SEC("license") = "GPL";
