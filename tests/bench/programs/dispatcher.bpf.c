// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Dispatcher: by Ethertype and protocol a packet goes on to a program of that layer, by a tail
// call; where the transport header begins goes along in cb[]. A packet for which there is no
// program is dropped.
#include "packet.h"

#define DNS_PORT 53
#define QUERIES_MAX 1000000000

enum { LAYER_TCP, LAYER_UDP, LAYER_IPV6, LAYER_OTHER, LAYERS };
enum { CB_TRANSPORT };

struct traffic {
  __u64 packets;
  __u64 bytes;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __u16);
  __type(value, struct traffic);
  __uint(max_entries, 1024);
} services SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __u32);
  __type(value, __u64);
  __uint(max_entries, 65536);
} resolvers SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, struct traffic);
  __uint(max_entries, 256);
} next_headers SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __u32);
  __type(value, __u64);
  __uint(max_entries, 256);
} ethertypes SEC(".maps");

static __always_inline void add(struct traffic *traffic, __u32 bytes) {
  __sync_fetch_and_add(&traffic->packets, 1);
  __sync_fetch_and_add(&traffic->bytes, bytes);
}

// TCP passes to services that are known, which are counted.
SEC("socket")
int tcp(struct __sk_buff *skb) {
  __u16 port;
  if (load_u16(skb, skb->cb[CB_TRANSPORT] + 2, &port)) return DROP;
  struct traffic *service = bpf_map_lookup_elem(&services, &port);
  if (!service) return DROP;
  add(service, skb->len);
  return ACCEPT;
}

// DNS queries are counted a source, and limited.
SEC("socket")
int udp(struct __sk_buff *skb) {
  __u16 port;
  __u32 source;
  __u64 first = 1;
  if (load_u16(skb, skb->cb[CB_TRANSPORT] + 2, &port)) return DROP;
  if (port != DNS_PORT || bpf_skb_load_bytes(skb, ETH_LENGTH + 12, &source, 4)) return ACCEPT;
  __u64 *queries = bpf_map_lookup_elem(&resolvers, &source);
  if (!queries) {
    bpf_map_update_elem(&resolvers, &source, &first, BPF_ANY);
    return ACCEPT;
  }
  __sync_fetch_and_add(queries, 1);
  return *queries > QUERIES_MAX ? DROP : ACCEPT;
}

SEC("socket")
int ipv6(struct __sk_buff *skb) {
  __u8 next;
  if (load_u8(skb, ETH_LENGTH + 6, &next)) return DROP;
  __u32 key = next;
  struct traffic *seen = bpf_map_lookup_elem(&next_headers, &key);
  if (seen) add(seen, skb->len);
  return ACCEPT;
}

SEC("socket")
int other(struct __sk_buff *skb) {
  __u32 type = skb->protocol;
  __u64 first = 1;
  __u64 *packets = bpf_map_lookup_elem(&ethertypes, &type);
  if (packets) {
    __sync_fetch_and_add(packets, 1);
  } else {
    bpf_map_update_elem(&ethertypes, &type, &first, BPF_ANY);
  }
  return ACCEPT;
}

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(key_size, sizeof(__u32));
  __uint(max_entries, LAYERS);
  __array(values, int(struct __sk_buff *));
} layers SEC(".maps") = {
    .values = {[LAYER_TCP] = tcp, [LAYER_UDP] = udp, [LAYER_IPV6] = ipv6, [LAYER_OTHER] = other},
};

static __always_inline __u32 layer_of(struct __sk_buff *skb) {
  __u8 protocol;
  if (skb->protocol == bpf_htons(ETH_IPV6)) return LAYER_IPV6;
  __u32 offset = transport_offset(skb, &protocol);
  if (offset == 0) return LAYER_OTHER;
  skb->cb[CB_TRANSPORT] = offset;
  return protocol == IP_TCP ? LAYER_TCP : protocol == IP_UDP ? LAYER_UDP : LAYER_OTHER;
}

SEC("socket")
int dispatch(struct __sk_buff *skb) {
  bpf_tail_call(skb, &layers, layer_of(skb));
  return DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
