// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Finds port scans: a bitmap of ports a source, counted bits, a score that decays. IPv4 and IPv6;
// SYN, FIN, NULL and XMAS scans and UDP probes are counted apart, and a host sweep (one port, many
// hosts) beside the port scan.
#include "common.h"

#define WORDS 64
enum probe { P_SYN, P_FIN, P_NULL, P_XMAS, P_UDP, P_KINDS, P_NONE = P_KINDS };
struct address {
  __u32 words[4];
};
struct source {
  __u64 bitmap[WORDS];
  __u64 hosts;
  __u64 first_ns;
  __u64 last_ns;
  __u32 kinds[P_KINDS];
  __u32 distinct;
  __u32 score;
  __u32 pad;
};
struct alarm {
  struct address source;
  __u64 after_ns;
  __u32 score;
  __u32 hosts;
  __u32 kind;
  __u32 port;
};
MAP(BPF_MAP_TYPE_LRU_HASH, sources, struct address, struct source, 4096);
MAP(BPF_MAP_TYPE_HASH, trusted, struct address, __u32, 256);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, blank, __u32, struct source, 1);
MAP(BPF_MAP_TYPE_ARRAY, scores, __u32, __u64, 128);
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 16);
} alarms SEC(".maps");

static __noinline __u32 count_bits(__u64 value) {
  value = value - ((value >> 1) & 0x5555555555555555ull);
  value = (value & 0x3333333333333333ull) + ((value >> 2) & 0x3333333333333333ull);
  value = (value + (value >> 4)) & 0x0f0f0f0f0f0f0f0full;
  return (value * 0x0101010101010101ull) >> 56;
}

static __always_inline enum probe probe_of(struct __sk_buff* skb, __u32 offset, __u8 protocol,
                                           __u16* port) {
  if (protocol == IPPROTO_UDP) {
    struct udphdr udp;
    if (bpf_skb_load_bytes(skb, offset, &udp, sizeof udp) < 0) return P_NONE;
    *port = bpf_ntohs(udp.dest);
    return bpf_ntohs(udp.len) <= sizeof udp + 4 ? P_UDP : P_NONE;
  }
  struct tcphdr tcp;
  if (protocol != IPPROTO_TCP || bpf_skb_load_bytes(skb, offset, &tcp, sizeof tcp) < 0)
    return P_NONE;
  *port = bpf_ntohs(tcp.dest);
  if (tcp.ack || tcp.rst) return P_NONE;
  if (tcp.fin && tcp.psh && tcp.urg) return P_XMAS;
  if (tcp.fin) return P_FIN;
  return tcp.syn ? P_SYN : P_NULL;
}

static __always_inline int addresses(struct __sk_buff* skb, struct address* from,
                                     struct address* to, __u8* protocol) {
  if (skb->protocol == bpf_htons(ETH_P_IP)) {
    struct iphdr ip;
    if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) < 0 || ip.ihl < 5) return -1;
    if (ip.frag_off & bpf_htons(0x1fff)) return -1;
    from->words[0] = ip.saddr;
    to->words[0] = ip.daddr;
    *protocol = ip.protocol;
    return ETH_HLEN + ip.ihl * 4;
  }
  if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr ip;
    if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) < 0) return -1;
    __builtin_memcpy(from, &ip.saddr, sizeof *from);
    __builtin_memcpy(to, &ip.daddr, sizeof *to);
    *protocol = ip.nexthdr;
    return ETH_HLEN + sizeof ip;
  }
  return -1;
}

static __always_inline struct source *source_of(struct address *from, __u64 now) {
  struct source *source = bpf_map_lookup_elem(&sources, from);
  if (source) return source;
  __u32 zero = 0;
  struct source *empty = bpf_map_lookup_elem(&blank, &zero);
  if (!empty) return 0;
  bpf_map_update_elem(&sources, from, empty, BPF_NOEXIST);
  source = bpf_map_lookup_elem(&sources, from);
  if (source) source->first_ns = source->last_ns = now;
  return source;
}

static __always_inline void tell(struct source *source, struct address *from, enum probe kind,
                                 __u16 port, __u32 hosts) {
  struct alarm *alarm = bpf_ringbuf_reserve(&alarms, sizeof *alarm, 0);
  if (!alarm) return;
  alarm->source = *from;
  alarm->after_ns = source->last_ns - source->first_ns;
  alarm->score = source->score;
  alarm->hosts = hosts;
  alarm->kind = kind;
  alarm->port = port;
  bpf_ringbuf_submit(alarm, 0);
}

SEC("socket")
int scans(struct __sk_buff *skb) {
  struct address from = {}, to = {};
  __u8 protocol = 0;
  __u16 port = 0;
  int offset = addresses(skb, &from, &to, &protocol);
  if (offset < 0) return 0;
  enum probe kind = probe_of(skb, offset, protocol, &port);
  if (kind >= P_KINDS || bpf_map_lookup_elem(&trusted, &from)) return 0;
  __u64 now = bpf_ktime_get_ns();
  struct source *source = source_of(&from, now);
  if (!source) return 0;
  __u64 quiet_s = (now - source->last_ns) / 1000000000ull;
  source->score = quiet_s > 31 ? 0 : source->score >> quiet_s;
  source->last_ns = now;
  source->kinds[kind]++;
  source->hosts |= 1ull << (mix3(to.words[0], to.words[2], to.words[3]) & 63);
  __u32 word = (port >> 6) % WORDS;
  __u64 bit = 1ull << (port & 63);
  __u32 hosts = count_bits(source->hosts);
  if (source->bitmap[word] & bit && hosts < 48) return 0;
  source->bitmap[word] |= bit;
  source->distinct++;
  __u32 total = hosts;
  for (__u32 i = 0; i < WORDS; i++) total += count_bits(source->bitmap[i]);
  source->score = (source->score * 7 + total) / 8;
  __u32 bucket = source->score > 127 ? 127 : source->score;
  __u64 *slot = bpf_map_lookup_elem(&scores, &bucket);
  if (slot) __sync_fetch_and_add(slot, 1);
  if (source->score <= 100) return 0;
  tell(source, &from, kind, port, hosts);
  return skb->len;
}

char LICENSE[] SEC("license") = "GPL";
