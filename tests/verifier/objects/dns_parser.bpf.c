// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Parses DNS questions label by label, counts names by hash, drops those on a list. Loops over
// bytes of the packet. IPv4 and IPv6, behind VLAN tags; questions are counted by type, ANY is
// refused, a client's questions a second are limited.
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
struct client {
  __u32 words[4];
};
struct usage {
  __u64 window_ns;
  __u32 questions;
  __u32 refused;
};
enum reason {
  R_NOT_DNS, R_SHORT, R_FRAGMENT, R_ANSWER, R_OPCODE, R_MANY, R_BAD_NAME, R_BAD_CLASS, R_ANY,
  R_BLOCKED, R_LIMITED, R_PASSED, R_REASONS
};
enum { TYPE_AXFR = 252, TYPE_ANY = 255, CLASS_INTERNET = 1 };
const volatile __u32 questions_per_s = 100;
MAP(BPF_MAP_TYPE_LRU_HASH, clients, struct client, struct usage, 16384);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, reasons, __u32, __u64, R_REASONS);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, types, __u32, __u64, 256);
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

static __always_inline int because(__u32 reason, int action) {
  __u64 *count = bpf_map_lookup_elem(&reasons, &reason);
  if (count) *count += 1;
  return action;
}

// -1: *dns and *client are set; else the reason.
static __always_inline int find_dns(void* data, void* data_end, struct client* client,
                                    struct dns_header** dns) {
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end) return R_SHORT;
  __be16 type = eth->h_proto;
  void *network = eth + 1;
  for (int i = 0; i < 2; i++) {
    struct vlan_header *tag = network;
    if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD)) break;
    if ((void *)(tag + 1) > data_end) return R_SHORT;
    type = tag->proto;
    network = tag + 1;
  }
  struct udphdr *udp;
  if (type == bpf_htons(ETH_P_IP)) {
    struct iphdr *ip = network;
    if ((void *)(ip + 1) > data_end || ip->ihl < 5) return R_SHORT;
    if (ip->protocol != IPPROTO_UDP) return R_NOT_DNS;
    if (ip->frag_off & bpf_htons(0x3fff)) return R_FRAGMENT;
    client->words[0] = ip->saddr;
    udp = (void *)ip + ip->ihl * 4;
  } else if (type == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr *ip = network;
    if ((void *)(ip + 1) > data_end) return R_SHORT;
    if (ip->nexthdr == IPPROTO_FRAGMENT) return R_FRAGMENT;
    if (ip->nexthdr != IPPROTO_UDP) return R_NOT_DNS;
    __builtin_memcpy(client, &ip->saddr, sizeof *client);
    udp = (void *)(ip + 1);
  } else {
    return R_NOT_DNS;
  }
  if ((void *)(udp + 1) > data_end) return R_SHORT;
  if (udp->dest != bpf_htons(53)) return R_NOT_DNS;
  *dns = (void *)(udp + 1);
  return (void *)(*dns + 1) > data_end ? R_SHORT : -1;
}

static __always_inline int check_header(struct dns_header *dns) {
  if (dns->flags & bpf_htons(0x8000)) return R_ANSWER;
  if (dns->flags & bpf_htons(0x7800)) return R_OPCODE;
  if (dns->questions != bpf_htons(1) || dns->answers || bpf_ntohs(dns->additional) > 2)
    return R_MANY;
  return -1;
}

// What stands behind the name: type and class.
static __always_inline int check_type(__u8 *at, void *data_end) {
  if ((void *)(at + 4) > data_end) return R_SHORT;
  __u32 type = at[0] << 8 | at[1];
  __u32 class = at[2] << 8 | at[3];
  __u64 *of_type = bpf_map_lookup_elem(&types, &type);
  if (of_type) *of_type += 1;
  if (class != CLASS_INTERNET) return R_BAD_CLASS;
  return type == TYPE_ANY || type == TYPE_AXFR ? R_ANY : -1;
}

static __always_inline int within_limit(struct client *client, __u64 now) {
  struct usage *usage = bpf_map_lookup_elem(&clients, client);
  if (!usage) {
    struct usage fresh = {.window_ns = now, .questions = 1};
    bpf_map_update_elem(&clients, client, &fresh, BPF_NOEXIST);
    return 1;
  }
  if (now - usage->window_ns > 1000000000ull) {
    usage->window_ns = now;
    usage->questions = 0;
  }
  if (__sync_fetch_and_add(&usage->questions, 1) < questions_per_s) return 1;
  __sync_fetch_and_add(&usage->refused, 1);
  return 0;
}

static __always_inline void count_name(struct name_key *key, __u32 length) {
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
}

SEC("xdp")
int questions(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct client client = {};
  struct dns_header *dns = 0;
  int wrong = find_dns(data, data_end, &client, &dns);
  if (wrong >= 0 || !dns) return because(wrong, wrong == R_FRAGMENT ? XDP_DROP : XDP_PASS);
  wrong = check_header(dns);
  if (wrong >= 0) return because(wrong, wrong == R_MANY ? XDP_DROP : XDP_PASS);
  __u32 zero = 0;
  struct name_key *key = bpf_map_lookup_elem(&scratch, &zero);
  if (!key) return XDP_PASS;
  __builtin_memset(key, 0, sizeof *key);
  __u8 *name = (void *)(dns + 1);
  __u32 length = read_name(name, data_end, key);
  if (length == 0 || length >= NAME_MAX) return because(R_BAD_NAME, XDP_DROP);
  wrong = check_type(name + length + 1, data_end);
  if (wrong >= 0) return because(wrong, XDP_DROP);
  count_name(key, length);
  if (bpf_map_lookup_elem(&blocked, key)) return because(R_BLOCKED, XDP_DROP);
  if (!within_limit(&client, bpf_ktime_get_ns())) return because(R_LIMITED, XDP_DROP);
  return because(R_PASSED, XDP_PASS);
}

char LICENSE[] SEC("license") = "GPL";
