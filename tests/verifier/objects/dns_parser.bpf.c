// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Parses DNS questions label by label, counts names by hash, drops those on a list. Loops over bytes of the packet.
#include "common.h"

#define NAME_MAX 64

struct dns_header {
  __be16 id;
  __be16 flags;
  __be16 questions;
  __be16 answers;
  __be16 authorities;
  __be16 additional;
};
struct name_key {
  __u8 name[NAME_MAX];
};
MAP(BPF_MAP_TYPE_HASH, blocked, struct name_key, __u32, 1024);
MAP(BPF_MAP_TYPE_LRU_HASH, seen, __u32, __u64, 8192);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, scratch, __u32, struct name_key, 1);
MAP(BPF_MAP_TYPE_ARRAY, lengths, __u32, __u64, NAME_MAX + 1);

static __always_inline __u32 read_name(__u8 *at, void *data_end, struct name_key *key) {
  __u32 length = 0;
  __u8 left = 0;
  for (__u32 i = 0; i < NAME_MAX; i++) {
    if ((void *)(at + i + 1) > data_end) return 0;
    __u8 byte = at[i];
    if (left == 0) {
      if (byte == 0) return length;
      if (byte > 63) return 0;
      left = byte;
      key->name[i & (NAME_MAX - 1)] = '.';
    } else {
      left--;
      if (byte >= 'A' && byte <= 'Z') byte += 'a' - 'A';
      key->name[i & (NAME_MAX - 1)] = byte;
    }
    length++;
  }
  return 0;
}

static __always_inline __u32 hash_name(struct name_key *key) {
  __u32 hash = 2166136261u;
  for (int i = 0; i < NAME_MAX; i++) hash = (hash ^ key->name[i]) * 16777619u;
  return hash;
}

SEC("xdp")
int questions(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP)) return XDP_PASS;
  struct iphdr *ip = (void *)(eth + 1);
  if ((void *)(ip + 1) > data_end || ip->protocol != IPPROTO_UDP || ip->ihl < 5) return XDP_PASS;
  struct udphdr *udp = (void *)ip + ip->ihl * 4;
  if ((void *)(udp + 1) > data_end || udp->dest != bpf_htons(53)) return XDP_PASS;
  struct dns_header *dns = (void *)(udp + 1);
  if ((void *)(dns + 1) > data_end || dns->questions != bpf_htons(1)) return XDP_PASS;
  __u32 zero = 0;
  struct name_key *key = bpf_map_lookup_elem(&scratch, &zero);
  if (!key) return XDP_PASS;
  __builtin_memset(key, 0, sizeof *key);
  __u32 length = read_name((void *)(dns + 1), data_end, key);
  if (length == 0) return XDP_DROP;
  __u64 *of_length = bpf_map_lookup_elem(&lengths, &length);
  if (of_length) __sync_fetch_and_add(of_length, 1);
  __u32 hash = hash_name(key);
  __u64 *times = bpf_map_lookup_elem(&seen, &hash);
  if (times) {
    __sync_fetch_and_add(times, 1);
  } else {
    __u64 one = 1;
    bpf_map_update_elem(&seen, &hash, &one, BPF_NOEXIST);
  }
  return bpf_map_lookup_elem(&blocked, key) ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
