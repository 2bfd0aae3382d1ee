// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Hands a packet on by tail calls: by link layer (VLAN, MPLS, PPPoE, ARP), then by IP protocol;
// each stage checks its headers and leaves the offsets it found in cb[].
#include "common.h"

enum { STAGE_IP = 0, STAGE_TCP = 1 };
enum { CB_OFFSET, CB_FAMILY, CB_END };
enum tally {
  T_FRAMES, T_SHORT, T_BAD_SOURCE, T_BROADCAST, T_MULTICAST, T_LLC, T_STP, T_SNAP, T_VLAN_REFUSED,
  T_MPLS, T_PPPOE, T_ARP, T_ARP_BAD, T_ARP_GRATUITOUS, T_OTHER_TYPE, T_IP4, T_IP6, T_BAD_HEADER,
  T_BAD_CHECKSUM, T_EXPIRED, T_MARTIAN, T_LAND, T_OPTIONS, T_SOURCE_ROUTE, T_FRAGMENT_FIRST,
  T_FRAGMENT_REST, T_FRAGMENT_TINY, T_EXTENSIONS, T_OTHER_PROTOCOL, T_TCP, T_SYN, T_SYN_ACK, T_FIN,
  T_RST, T_DATA, T_PURE_ACK, T_BAD_FLAGS, T_PORT_ZERO, T_WINDOW_ZERO, T_SMALL_MSS, T_SCALE, T_SACK,
  T_TIMESTAMP, T_BAD_OPTION, TALLIES,
};
struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 8);
  __type(key, __u32);
  __type(value, __u32);
} stages SEC(".maps");
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, tallies, __u32, __u64, TALLIES);
MAP(BPF_MAP_TYPE_ARRAY, refused_vlans, __u32, __u64, 64);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, payloads, __u32, __u64, 32);
struct arp {
  __be16 hardware, protocol;
  __u8 hardware_size, protocol_size;
  __be16 operation;
  __u8 sender_mac[6];
  __u8 sender_ip[4];
  __u8 target_mac[6];
  __u8 target_ip[4];
} __attribute__((packed));

static __always_inline int tally(__u32 what, int action) {
  __u64 *count = bpf_map_lookup_elem(&tallies, &what);
  if (count) *count += 1;
  return action;
}

static __always_inline int tcp_options(__u8 *at, __u32 left, void *data_end) {
  for (int i = 0; i < 12; i++) {
    if (left == 0 || (void *)(at + 1) > data_end || at[0] == 0) return TC_ACT_OK;
    if (at[0] == 1) {
      at++;
      left--;
      continue;
    }
    if (left < 2 || (void *)(at + 4) > data_end) return TC_ACT_OK;
    __u8 length = at[1];
    if (length < 2 || length > 40 || length > left) return tally(T_BAD_OPTION, TC_ACT_SHOT);
    if (at[0] == 2 && (at[2] << 8 | at[3]) < 536) tally(T_SMALL_MSS, 0);
    else if (at[0] == 3) tally(T_SCALE, 0);
    else if (at[0] == 4) tally(T_SACK, 0);
    else if (at[0] == 8) tally(T_TIMESTAMP, 0);
    at += length;
    left -= length;
  }
  return TC_ACT_OK;
}

SEC("tc")
int stage_tcp(struct __sk_buff *skb) {
  void *data = (void *)(long)skb->data;
  void *data_end = (void *)(long)skb->data_end;
  __u32 offset = skb->cb[CB_OFFSET] & 1023;
  struct tcphdr *tcp = data + offset;
  if ((void *)(tcp + 1) > data_end || tcp->doff < 5) return tally(T_SHORT, TC_ACT_SHOT);
  tally(T_TCP, 0);
  if (!tcp->source || !tcp->dest) return tally(T_PORT_ZERO, TC_ACT_SHOT);
  if ((tcp->syn && (tcp->fin || tcp->rst)) || !(tcp->syn || tcp->ack || tcp->rst)) {
    return tally(T_BAD_FLAGS, TC_ACT_SHOT);
  }
  __u32 end = skb->cb[CB_END], header = offset + tcp->doff * 4;
  __u32 payload = end > header ? end - header : 0;
  if (tcp->syn) tally(tcp->ack ? T_SYN_ACK : T_SYN, 0);
  else if (tcp->rst) tally(T_RST, 0);
  else if (tcp->fin) tally(T_FIN, 0);
  else tally(payload ? T_DATA : T_PURE_ACK, 0);
  if (!tcp->window && !tcp->rst) tally(T_WINDOW_ZERO, 0);
  __u32 slot = payload / 64 > 31 ? 31 : payload / 64;
  __u64 *size = bpf_map_lookup_elem(&payloads, &slot);
  if (size) *size += 1;
  return tcp_options((void *)(tcp + 1), tcp->doff * 4 - sizeof *tcp, data_end);
}

static __always_inline int is_martian(__u32 address) {
  __u32 first = address & 0xff;
  return first == 0 || first == 127 || first >= 224;
}

// What among the options must not pass, or -1.
static __always_inline int ip_options(struct iphdr *ip, void *data_end) {
  __u8 *at = (void *)(ip + 1);
  __u32 left = ip->ihl * 4 - sizeof *ip;
  for (int i = 0; i < 10; i++) {
    if (left == 0 || (void *)(at + 1) > data_end || at[0] == 0) return -1;
    if (at[0] == 1) {
      at++;
      left--;
      continue;
    }
    if (left < 2 || (void *)(at + 2) > data_end) return T_BAD_HEADER;
    if (at[0] == 131 || at[0] == 137) return T_SOURCE_ROUTE;
    __u8 length = at[1];
    if (length < 2 || length > 40 || length > left) return T_BAD_HEADER;
    at += length;
    left -= length;
  }
  return -1;
}

static __always_inline int ip4(struct __sk_buff* skb, struct iphdr* ip, __u32 offset,
                               void* data_end) {
  if ((void *)(ip + 1) > data_end || ip->version != 4 || ip->ihl < 5) return T_BAD_HEADER;
  __u32 length = bpf_ntohs(ip->tot_len);
  if (length < ip->ihl * 4 || offset + length > skb->len) return T_BAD_HEADER;
  if (ip->ttl == 0) return T_EXPIRED;
  if (is_martian(ip->saddr)) return T_MARTIAN;
  if (ip->saddr == ip->daddr) return T_LAND;
  if (ip->ihl == 5) {
    __u64 sum = bpf_csum_diff(0, 0, (__be32 *)ip, sizeof *ip, 0);
    if (fold_checksum(sum)) return T_BAD_CHECKSUM;
  } else {
    int wrong = ip_options(ip, data_end);
    if (wrong >= 0) return wrong;
    tally(T_OPTIONS, 0);
  }
  if (ip->frag_off & bpf_htons(0x1fff)) return T_FRAGMENT_REST;
  if (ip->frag_off & bpf_htons(0x2000)) {
    if (length < ip->ihl * 4 + sizeof(struct tcphdr)) return T_FRAGMENT_TINY;
    tally(T_FRAGMENT_FIRST, 0);
  }
  skb->cb[CB_OFFSET] = offset + ip->ihl * 4;
  skb->cb[CB_END] = offset + length;
  return ip->protocol << 8;
}

static __always_inline int ip6(struct __sk_buff* skb, struct ipv6hdr* ip, __u32 offset,
                               void* data_end) {
  if ((void *)(ip + 1) > data_end || ip->version != 6) return T_BAD_HEADER;
  if (ip->hop_limit == 0) return T_EXPIRED;
  if (ip->saddr.in6_u.u6_addr8[0] == 0xff) return T_MARTIAN;
  __u8 next = ip->nexthdr;
  __u32 at = offset + sizeof *ip;
  for (int i = 0; i < 4; i++) {
    __u8 extension[2];
    if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS) break;
    if (bpf_skb_load_bytes(skb, at, extension, sizeof extension) < 0) return T_BAD_HEADER;
    if (next == IPPROTO_ROUTING) return T_SOURCE_ROUTE;
    next = extension[0];
    at += (extension[1] + 1) * 8;
    tally(T_EXTENSIONS, 0);
  }
  if (next == IPPROTO_FRAGMENT) return T_FRAGMENT_REST;
  skb->cb[CB_OFFSET] = at;
  skb->cb[CB_END] = offset + sizeof *ip + bpf_ntohs(ip->payload_len);
  return next << 8;
}

SEC("tc")
int stage_ip(struct __sk_buff *skb) {
  void *data = (void *)(long)skb->data;
  void *data_end = (void *)(long)skb->data_end;
  __u32 offset = skb->cb[CB_OFFSET] & 127;
  int six = skb->cb[CB_FAMILY] == 6;
  tally(six ? T_IP6 : T_IP4, 0);
  int found =
      six ? ip6(skb, data + offset, offset, data_end) : ip4(skb, data + offset, offset, data_end);
  if (found == T_FRAGMENT_REST) return tally(found, TC_ACT_OK);
  if (found < TALLIES && found > 0) return tally(found, TC_ACT_SHOT);
  __u32 protocol = (found >> 8) & 0xff;
  if (protocol == IPPROTO_TCP) bpf_tail_call(skb, &stages, STAGE_TCP);
  bpf_tail_call(skb, &stages, 2 + (protocol & 3));
  return tally(T_OTHER_PROTOCOL, TC_ACT_OK);
}

static __always_inline int check_arp(struct ethhdr *eth, struct arp *arp, void *data_end) {
  if ((void *)(arp + 1) > data_end) return tally(T_SHORT, TC_ACT_SHOT);
  tally(T_ARP, 0);
  if (arp->hardware != bpf_htons(1) || arp->protocol != bpf_htons(ETH_P_IP) ||
      arp->hardware_size != 6 || arp->protocol_size != 4)
    return tally(T_ARP_BAD, TC_ACT_SHOT);
  for (int i = 0; i < 6; i++) {
    if (arp->sender_mac[i] != eth->h_source[i]) return tally(T_ARP_BAD, TC_ACT_SHOT);
  }
  __u32 sender, target;
  __builtin_memcpy(&sender, arp->sender_ip, 4);
  __builtin_memcpy(&target, arp->target_ip, 4);
  return sender == target ? tally(T_ARP_GRATUITOUS, TC_ACT_OK) : TC_ACT_OK;
}

// Frames with a length instead of a type.
static __always_inline int llc(__u8 *at, void *data_end) {
  if ((void *)(at + 3) > data_end) return tally(T_SHORT, TC_ACT_SHOT);
  if (at[0] == 0x42 && at[1] == 0x42) return tally(T_STP, TC_ACT_OK);
  return at[0] == 0xaa && at[1] == 0xaa ? tally(T_SNAP, TC_ACT_OK) : tally(T_LLC, TC_ACT_OK);
}

static __always_inline int is_refused(__u16 tci) {
  __u32 word = (tci & 0xfff) >> 6;
  __u64 *bits = bpf_map_lookup_elem(&refused_vlans, &word);
  return bits && *bits >> (tci & 63) & 1;
}

SEC("tc")
int entry(struct __sk_buff *skb) {
  void *data = (void *)(long)skb->data;
  void *data_end = (void *)(long)skb->data_end;
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end) return tally(T_SHORT, TC_ACT_SHOT);
  tally(T_FRAMES, 0);
  if (eth->h_source[0] & 1) return tally(T_BAD_SOURCE, TC_ACT_SHOT);
  if (eth->h_dest[0] & 1) tally(eth->h_dest[0] == 0xff ? T_BROADCAST : T_MULTICAST, 0);
  __be16 type = eth->h_proto;
  __u8 *at = (void *)(eth + 1);
  for (int i = 0; i < 2; i++) {
    struct vlan_header *tag = (void *)at;
    if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD)) break;
    if ((void *)(tag + 1) > data_end) return tally(T_SHORT, TC_ACT_SHOT);
    if (is_refused(bpf_ntohs(tag->tci))) return tally(T_VLAN_REFUSED, TC_ACT_SHOT);
    type = tag->proto;
    at += sizeof *tag;
  }
  if (bpf_ntohs(type) < 0x600) return llc(at, data_end);
  if (type == bpf_htons(ETH_P_ARP)) return check_arp(eth, (void *)at, data_end);
  if (type == bpf_htons(ETH_P_PPP_SES)) {
    if ((void *)(at + 8) > data_end) return tally(T_SHORT, TC_ACT_SHOT);
    tally(T_PPPOE, 0);
    type = at[6] != 0      ? 0
           : at[7] == 0x21 ? bpf_htons(ETH_P_IP)
           : at[7] == 0x57 ? bpf_htons(ETH_P_IPV6)
                           : 0;
    at += 8;
  } else if (type == bpf_htons(ETH_P_MPLS_UC)) {
    tally(T_MPLS, 0);
    for (int i = 0; i < 4; i++) {
      if ((void *)(at + 5) > data_end) return tally(T_SHORT, TC_ACT_SHOT);
      at += 4;
      if (at[-2] & 1) {
        type = at[0] >> 4 == 4 ? bpf_htons(ETH_P_IP) : at[0] >> 4 == 6 ? bpf_htons(ETH_P_IPV6) : 0;
        break;
      }
    }
  }
  skb->cb[CB_OFFSET] = (void *)at - data;
  skb->cb[CB_FAMILY] = type == bpf_htons(ETH_P_IPV6) ? 6 : 4;
  if (type == bpf_htons(ETH_P_IP) || type == bpf_htons(ETH_P_IPV6))
    bpf_tail_call(skb, &stages, STAGE_IP);
  return tally(T_OTHER_TYPE, TC_ACT_OK);
}

char LICENSE[] SEC("license") = "GPL";
