// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// SYN limiter: at most LIMIT connection attempts a source and window; what is above it is dropped.
#include "packet.h"

#define WINDOW_NS 1000000000000ull
#define LIMIT 4
#define TCP_SYN 0x02

struct window {
  __u64 start_ns;
  __u64 attempts;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, __u32);
  __type(value, struct window);
  __uint(max_entries, 131072);
} sources SEC(".maps");

SEC("socket")
int syn_limit(struct __sk_buff *skb) {
  __u16 type;
  __u8 protocol, flags;
  __u32 source;
  if (load_u16(skb, ETH_TYPE_OFFSET, &type) || type != ETH_IPV4) return ACCEPT;
  __u32 offset = transport_offset(skb, &protocol);
  if (offset == 0 || protocol != IP_TCP) return ACCEPT;
  if (load_u8(skb, offset + 13, &flags) || (flags & TCP_SYN) == 0) return ACCEPT;
  if (bpf_skb_load_bytes(skb, ETH_LENGTH + 12, &source, 4)) return ACCEPT;
  __u64 now_ns = bpf_ktime_get_ns();
  struct window *window = bpf_map_lookup_elem(&sources, &source);
  if (!window) {
    struct window first = {now_ns, 1};
    bpf_map_update_elem(&sources, &source, &first, BPF_ANY);
    return ACCEPT;
  }
  if (now_ns - window->start_ns > WINDOW_NS) {
    window->start_ns = now_ns;
    window->attempts = 0;
  }
  __sync_fetch_and_add(&window->attempts, 1);
  return window->attempts > LIMIT ? DROP : ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
