// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Protocol counter: packets and bytes by IP protocol number, of untagged IPv4, as tcpdump counts
// `ip proto N`. Bytes are wire lengths. Passes everything.
//   proto_packets, proto_bytes: protocol (0 to 255) -> count
#include "packet.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, __u64);
  __uint(max_entries, 256);
} proto_packets SEC(".maps"), proto_bytes SEC(".maps");

SEC("socket")
int count_protocols(struct __sk_buff *skb) {
  __u16 type;
  __u8 protocol;
  if (load_u16(skb, ETH_TYPE_OFFSET, &type) || type != ETH_IPV4) return ACCEPT;
  if (load_u8(skb, ETH_LENGTH + 9, &protocol)) return ACCEPT;
  __u32 key = protocol;
  __u64 *packets = bpf_map_lookup_elem(&proto_packets, &key);
  if (packets) __sync_fetch_and_add(packets, 1);
  __u64 *bytes = bpf_map_lookup_elem(&proto_bytes, &key);
  if (bytes) __sync_fetch_and_add(bytes, skb->len);
  return ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
