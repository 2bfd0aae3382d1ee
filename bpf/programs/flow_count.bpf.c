// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Flow counter: packets and bytes (wire lengths) of every IPv4 TCP and UDP flow, one direction a
// flow. Passes everything. When the table is full, packets of new flows are counted in
// `flows_missed`.
//   flows: (source, destination, ports, protocol, ifindex) -> (packets, bytes)
#include "packet.h"

struct flow {
  __be32 source;
  __be32 destination;
  __be16 source_port;
  __be16 destination_port;
  __u32 protocol;
  __u32 ifindex;
};

struct traffic {
  __u64 packets;
  __u64 bytes;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, struct flow);
  __type(value, struct traffic);
  __uint(max_entries, 65536);
} flows SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, __u64);
  __uint(max_entries, 1);
} flows_missed SEC(".maps");

static __always_inline void count_missed(void) {
  __u32 key = 0;
  __u64 *missed = bpf_map_lookup_elem(&flows_missed, &key);
  if (missed) __sync_fetch_and_add(missed, 1);
}

SEC("socket")
int count_flows(struct __sk_buff *skb) {
  struct flow key = {};
  __u16 type;
  __u8 protocol;
  if (load_u16(skb, ETH_TYPE_OFFSET, &type) || type != ETH_IPV4) return ACCEPT;
  __u32 offset = transport_offset(skb, &protocol);
  if (offset == 0 || (protocol != IP_TCP && protocol != IP_UDP)) return ACCEPT;
  // Source and destination lie side by side, on the wire and in the key; so do the ports.
  if (bpf_skb_load_bytes(skb, ETH_LENGTH + 12, &key.source, 8)) return ACCEPT;
  if (bpf_skb_load_bytes(skb, offset, &key.source_port, 4)) return ACCEPT;
  key.protocol = protocol;
  key.ifindex = skb->ifindex;

  struct traffic *seen = bpf_map_lookup_elem(&flows, &key);
  if (!seen) {
    // Two workers may both miss: NOEXIST lets one insert, and the second lookup finds it for both.
    struct traffic none = {};
    bpf_map_update_elem(&flows, &key, &none, BPF_NOEXIST);
    seen = bpf_map_lookup_elem(&flows, &key);
  }
  if (!seen) {
    count_missed();
    return ACCEPT;
  }
  __sync_fetch_and_add(&seen->packets, 1);
  __sync_fetch_and_add(&seen->bytes, skb->len);
  return ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
