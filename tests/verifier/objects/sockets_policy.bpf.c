// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A policy as state machines in tables: tokens of a text protocol are fed byte by byte to a DFA
// kept in read-only data; then the request's target is checked and the client's requests a second
// are limited, by service. IPv4 and IPv6.
#include "common.h"

#define STATES 16
static const __u8 classes[128] = {
    ['G'] = 1, ['E'] = 2, ['T'] = 3, ['P'] = 4,  ['O'] = 5,  ['S'] = 6,
    [' '] = 7, ['/'] = 8, ['H'] = 9, ['A'] = 10, ['D'] = 11,
};
static const __u8 table[STATES][16] = {
    {0, 1, 0, 0, 4, 0, 0, 0, 0, 8, 0, 0},
    {15, 15, 2, 15, 15, 15, 15, 15, 15, 15, 15, 15},
    {15, 15, 15, 3, 15, 15, 15, 15, 15, 15, 15, 15},
    {15, 15, 15, 15, 15, 15, 15, 12, 15, 15, 15, 15},
    {15, 15, 15, 15, 15, 5, 15, 15, 15, 15, 15, 15},
    {15, 15, 15, 15, 15, 15, 6, 15, 15, 15, 15, 15},
    {15, 15, 15, 7, 15, 15, 15, 15, 15, 15, 15, 15},
    {15, 15, 15, 15, 15, 15, 15, 13, 15, 15, 15, 15},
    {15, 15, 9, 15, 15, 15, 15, 15, 15, 15, 15, 15},
    {15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 10, 15},
    {15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 11},
    {15, 15, 15, 15, 15, 15, 15, 14, 15, 15, 15, 15},
    {15, 15, 15, 15, 15, 15, 15, 15, 12, 15, 15, 15},
    {15, 15, 15, 15, 15, 15, 15, 15, 13, 15, 15, 15},
    {15, 15, 15, 15, 15, 15, 15, 15, 14, 15, 15, 15},
    {15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15},
};
enum outcome {
  O_NOT_TCP, O_SHORT, O_EMPTY, O_NO_METHOD, O_LONG_TARGET, O_TRAVERSAL, O_BAD_BYTE, O_LIMITED,
  O_PASSED, OUTCOMES
};
#define TARGET_MAX 64
struct client {
  __u32 words[4];
};
struct usage {
  __u64 window_ns;
  __u32 requests;
  __u32 refused;
};
struct stream {
  struct client client;
  __u32 offset;
  __u32 length;
  __be16 port;
};
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, methods, __u32, __u64, STATES);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, outcomes, __u32, __u64, OUTCOMES);
MAP(BPF_MAP_TYPE_LRU_HASH, clients, struct client, struct usage, 16384);
MAP(BPF_MAP_TYPE_HASH, services, __be16, __u32, 64);

static __always_inline int outcome(__u32 what, int verdict) {
  __u64 *count = bpf_map_lookup_elem(&outcomes, &what);
  if (count) *count += 1;
  return verdict;
}

static __always_inline int network_of(struct __sk_buff *skb, struct stream *stream) {
  __u8 protocol;
  if (skb->protocol == bpf_htons(ETH_P_IP)) {
    struct iphdr ip;
    if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) < 0 || ip.ihl < 5) return O_SHORT;
    if (ip.frag_off & bpf_htons(0x1fff)) return O_NOT_TCP;
    stream->client.words[0] = ip.saddr;
    stream->offset = ETH_HLEN + ip.ihl * 4;
    stream->length = ETH_HLEN + bpf_ntohs(ip.tot_len);
    protocol = ip.protocol;
  } else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr ip;
    if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) < 0) return O_SHORT;
    __builtin_memcpy(&stream->client, &ip.saddr, sizeof stream->client);
    stream->offset = ETH_HLEN + sizeof ip;
    stream->length = stream->offset + bpf_ntohs(ip.payload_len);
    protocol = ip.nexthdr;
  } else {
    return O_NOT_TCP;
  }
  return protocol == IPPROTO_TCP ? -1 : O_NOT_TCP;
}

// -1: offset and length are the payload's.
static __always_inline int stream_of(struct __sk_buff *skb, struct stream *stream) {
  struct tcphdr tcp;
  int wrong = network_of(skb, stream);
  if (wrong >= 0) return wrong;
  if (bpf_skb_load_bytes(skb, stream->offset, &tcp, sizeof tcp) < 0 || tcp.doff < 5) return O_SHORT;
  stream->offset += tcp.doff * 4;
  stream->port = tcp.dest;
  if (stream->offset >= stream->length) return O_EMPTY;
  stream->length -= stream->offset;
  return -1;
}

// The request's target up to the blank: no control characters, no "..", not beyond TARGET_MAX.
static __always_inline int target_of(struct __sk_buff *skb, __u32 offset) {
  __u8 previous = 0;
  for (__u32 i = 0; i < TARGET_MAX; i++) {
    __u8 byte;
    if (bpf_skb_load_bytes(skb, offset + i, &byte, 1) < 0) return O_SHORT;
    if (byte == ' ') return -1;
    if (byte < ' ' || byte > '~') return O_BAD_BYTE;
    if (byte == '.' && previous == '.') return O_TRAVERSAL;
    previous = byte;
  }
  return O_LONG_TARGET;
}

static __always_inline int within_limit(struct client *client, __u32 per_s, __u64 now) {
  struct usage *usage = bpf_map_lookup_elem(&clients, client);
  if (!usage) {
    struct usage fresh = {.window_ns = now, .requests = 1};
    bpf_map_update_elem(&clients, client, &fresh, BPF_NOEXIST);
    return 1;
  }
  if (now - usage->window_ns > 1000000000ull) {
    usage->window_ns = now;
    usage->requests = 0;
  }
  if (__sync_fetch_and_add(&usage->requests, 1) < per_s) return 1;
  __sync_fetch_and_add(&usage->refused, 1);
  return 0;
}

SEC("socket")
int methods_of(struct __sk_buff *skb) {
  struct stream stream = {};
  int wrong = stream_of(skb, &stream);
  if (wrong >= 0) return outcome(wrong, 0);
  __be16 port = stream.port;
  __u32 *per_s = bpf_map_lookup_elem(&services, &port);
  if (!per_s) return outcome(O_NOT_TCP, 0);
  __u32 state = 0, i;
  for (i = 0; i < 16 && i < stream.length; i++) {
    __u8 byte;
    if (bpf_skb_load_bytes(skb, stream.offset + i, &byte, 1) < 0) break;
    __u32 class = byte < 128 ? classes[byte] : 0;
    state = table[state & (STATES - 1)][class & 15];
    if (state >= 12) break;
  }
  __u64 *count = bpf_map_lookup_elem(&methods, &state);
  if (count) *count += 1;
  if (state < 12 || state >= 15) return outcome(O_NO_METHOD, 0);
  wrong = target_of(skb, stream.offset + i + 1);
  if (wrong >= 0) return outcome(wrong, 0);
  if (!within_limit(&stream.client, *per_s, bpf_ktime_get_ns())) return outcome(O_LIMITED, 0);
  return outcome(O_PASSED, skb->len);
}

char LICENSE[] SEC("license") = "GPL";
