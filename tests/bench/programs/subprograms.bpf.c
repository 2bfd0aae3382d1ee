// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A classifier in subprograms that the compiler may not inline: layer by layer, then a counter a
// class.
#include "packet.h"

enum { CLASS_OTHER, CLASS_WEB, CLASS_DNS, CLASS_REMOTE, CLASS_BULK, CLASSES };

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, __u64);
  __uint(max_entries, CLASSES);
} classes SEC(".maps");

static __noinline __u32 class_of_port(__u32 port) {
  if (port == 80 || port == 443 || port == 8080) return CLASS_WEB;
  if (port == 53) return CLASS_DNS;
  if (port == 22) return CLASS_REMOTE;
  return CLASS_OTHER;
}

static __noinline __u32 class_of_transport(struct __sk_buff *skb, __u32 offset) {
  __u16 source, destination;
  if (load_u16(skb, offset, &source) || load_u16(skb, offset + 2, &destination)) return CLASS_OTHER;
  __u32 kind = class_of_port(destination);
  if (kind == CLASS_OTHER) kind = class_of_port(source);
  if (kind == CLASS_OTHER && skb->len > 1000) kind = CLASS_BULK;
  return kind;
}

static __noinline __u32 class_of_packet(struct __sk_buff *skb) {
  __u8 protocol;
  __u32 offset = transport_offset(skb, &protocol);
  if (offset == 0 || (protocol != IP_TCP && protocol != IP_UDP)) return CLASS_OTHER;
  return class_of_transport(skb, offset);
}

SEC("socket")
int subprograms(struct __sk_buff *skb) {
  __u32 kind = class_of_packet(skb);
  __u64 *count = bpf_map_lookup_elem(&classes, &kind);
  if (count) __sync_fetch_and_add(count, 1);
  return kind == CLASS_OTHER ? DROP : ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
