// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Answers SYN with a cookie in the sequence number (SipHash of the addresses and a secret), and
// lets back in who returns it.
#include "common.h"

struct secret {
  __u64 key[2];
};
MAP(BPF_MAP_TYPE_ARRAY, secrets, __u32, struct secret, 2);
MAP(BPF_MAP_TYPE_LRU_HASH, proven, struct flow_key, __u64, 100000);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, outcomes, __u32, __u64, 8);

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define SIPROUND                  \
  do {                            \
    v0 += v1; v1 = ROTL(v1, 13); v1 ^= v0; v0 = ROTL(v0, 32); \
    v2 += v3; v3 = ROTL(v3, 16); v3 ^= v2;                    \
    v0 += v3; v3 = ROTL(v3, 21); v3 ^= v0;                    \
    v2 += v1; v1 = ROTL(v1, 17); v1 ^= v2; v2 = ROTL(v2, 32); \
  } while (0)

static __noinline __u32 siphash(struct secret *secret, __u64 first, __u64 second) {
  if (!secret) return 0;
  __u64 v0 = secret->key[0] ^ 0x736f6d6570736575ull, v1 = secret->key[1] ^ 0x646f72616e646f6dull;
  __u64 v2 = secret->key[0] ^ 0x6c7967656e657261ull, v3 = secret->key[1] ^ 0x7465646279746573ull;
  v3 ^= first; SIPROUND; SIPROUND; v0 ^= first;
  v3 ^= second; SIPROUND; SIPROUND; v0 ^= second;
  v2 ^= 0xff; SIPROUND; SIPROUND; SIPROUND; SIPROUND;
  return (__u32)(v0 ^ v1 ^ v2 ^ v3);
}

static __always_inline void count(__u32 what) {
  __u64 *counter = bpf_map_lookup_elem(&outcomes, &what);
  if (counter) *counter += 1;
}

static __always_inline __u32 cookie_of(struct iphdr *ip, struct tcphdr *tcp, __u32 epoch) {
  __u32 index = epoch & 1;
  struct secret *secret = bpf_map_lookup_elem(&secrets, &index);
  __u64 first = ((__u64)ip->saddr << 32) | ip->daddr;
  __u64 second = ((__u64)tcp->source << 48) | ((__u64)tcp->dest << 32) | epoch;
  return siphash(secret, first, second);
}

static __always_inline int answer(struct ethhdr* eth, struct iphdr* ip, struct tcphdr* tcp,
                                  __u32 cookie) {
  __u8 mac[ETH_ALEN];
  __builtin_memcpy(mac, eth->h_source, ETH_ALEN);
  __builtin_memcpy(eth->h_source, eth->h_dest, ETH_ALEN);
  __builtin_memcpy(eth->h_dest, mac, ETH_ALEN);
  __be32 address = ip->saddr;
  ip->saddr = ip->daddr;
  ip->daddr = address;
  __be16 port = tcp->source;
  tcp->source = tcp->dest;
  tcp->dest = port;
  tcp->ack_seq = bpf_htonl(bpf_ntohl(tcp->seq) + 1);
  tcp->seq = bpf_htonl(cookie);
  tcp->ack = 1;
  tcp->window = bpf_htons(65535);
  tcp->check = 0;
  __u64 sum = bpf_csum_diff(0, 0, (__be32 *)tcp, sizeof *tcp, 0);
  sum += (ip->saddr & 0xffff) + (ip->saddr >> 16) + (ip->daddr & 0xffff) + (ip->daddr >> 16);
  sum += bpf_htons(IPPROTO_TCP) + bpf_htons(sizeof *tcp);
  tcp->check = fold_checksum(sum);
  return XDP_TX;
}

SEC("xdp")
int guard(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  struct iphdr *ip = data + sizeof *eth;
  struct tcphdr *tcp = (void *)(ip + 1);
  if ((void *)(tcp + 1) > data_end) return XDP_PASS;
  if (eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 || ip->protocol != IPPROTO_TCP)
    return XDP_PASS;
  struct flow_key flow = {};
  flow.source[0] = ip->saddr;
  flow.destination[0] = ip->daddr;
  flow.source_port = tcp->source;
  flow.destination_port = tcp->dest;
  flow.protocol = IPPROTO_TCP;
  __u32 epoch = bpf_ktime_get_ns() >> 36;
  if (tcp->syn && !tcp->ack) {
    count(0);
    return answer(eth, ip, tcp, cookie_of(ip, tcp, epoch));
  }
  if (bpf_map_lookup_elem(&proven, &flow)) return XDP_PASS;
  __u32 returned = bpf_ntohl(tcp->ack_seq) - 1;
  for (__u32 age = 0; age < 2; age++) {
    if (cookie_of(ip, tcp, epoch - age) != returned) continue;
    __u64 now = bpf_ktime_get_ns();
    bpf_map_update_elem(&proven, &flow, &now, BPF_ANY);
    count(1);
    return XDP_PASS;
  }
  count(2);
  return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
