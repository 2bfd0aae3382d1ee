// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Finds port scans: a bitmap of ports a source, counted bits, a score that decays.
#include "common.h"

#define WORDS 64
struct source {
  __u64 bitmap[WORDS];
  __u64 first_ns;
  __u32 distinct;
  __u32 score;
};
MAP(BPF_MAP_TYPE_LRU_HASH, sources, __u32, struct source, 4096);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, blank, __u32, struct source, 1);
MAP(BPF_MAP_TYPE_ARRAY, scores, __u32, __u64, 128);

static __noinline __u32 count_bits(__u64 value) {
  value = value - ((value >> 1) & 0x5555555555555555ull);
  value = (value & 0x3333333333333333ull) + ((value >> 2) & 0x3333333333333333ull);
  value = (value + (value >> 4)) & 0x0f0f0f0f0f0f0f0full;
  return (value * 0x0101010101010101ull) >> 56;
}

SEC("socket")
int scans(struct __sk_buff *skb) {
  struct iphdr ip;
  struct tcphdr tcp;
  if (skb->protocol != bpf_htons(ETH_P_IP)) return 0;
  if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) < 0 || ip.protocol != IPPROTO_TCP) return 0;
  if (bpf_skb_load_bytes(skb, ETH_HLEN + ip.ihl * 4, &tcp, sizeof tcp) < 0 || !tcp.syn || tcp.ack) return 0;
  __u32 address = ip.saddr;
  struct source *source = bpf_map_lookup_elem(&sources, &address);
  if (!source) {
    __u32 zero = 0;
    struct source *empty = bpf_map_lookup_elem(&blank, &zero);
    if (!empty) return 0;
    bpf_map_update_elem(&sources, &address, empty, BPF_NOEXIST);
    source = bpf_map_lookup_elem(&sources, &address);
    if (!source) return 0;
    source->first_ns = bpf_ktime_get_ns();
  }
  __u32 port = bpf_ntohs(tcp.dest);
  __u32 word = (port >> 6) % WORDS;
  __u64 bit = 1ull << (port & 63);
  if (source->bitmap[word] & bit) return 0;
  source->bitmap[word] |= bit;
  source->distinct++;
  __u32 total = 0;
  for (__u32 i = 0; i < WORDS; i++) total += count_bits(source->bitmap[i]);
  source->score = (source->score * 7 + total) / 8;
  __u32 bucket = source->score > 127 ? 127 : source->score;
  __u64 *slot = bpf_map_lookup_elem(&scores, &bucket);
  if (slot) __sync_fetch_and_add(slot, 1);
  return source->score > 100 ? skb->len : 0;
}

char LICENSE[] SEC("license") = "GPL";
