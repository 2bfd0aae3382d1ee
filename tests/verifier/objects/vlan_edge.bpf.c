// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// The edge of a provider's network: customer VLANs are mapped to service tags and back, with
// learning of MAC addresses. Link-local protocols stay at the edge, flooding and moving addresses
// are limited a VLAN, every reason is counted.
#include "common.h"

struct mac_key {
  __u8 mac[6];
  __u16 vlan;
};
struct entry {
  __u32 port;
  __u32 pad;
  __u64 seen_ns;
};
struct mapping {
  __u16 service;
  __u16 priority;
};
MAP(BPF_MAP_TYPE_LRU_HASH, table, struct mac_key, struct entry, 8192);
MAP(BPF_MAP_TYPE_ARRAY, mappings, __u32, struct mapping, 4096);
struct guard {
  __u64 window_ns;
  __u32 floods;
  __u32 moves;
  __u32 stations;
  __u32 pad;
};
enum reason {
  R_SHORT,
  R_UNTAGGED,
  R_LINK_LOCAL,
  R_BAD_SOURCE,
  R_NO_SERVICE,
  R_WRONG_SERVICE,
  R_STORM,
  R_MOVING,
  R_FULL,
  R_NO_ROOM,
  R_FLOODED,
  R_SAME_PORT,
  R_FORWARDED,
  R_REASONS
};
#define WINDOW_NS 1000000000ull
const volatile __u32 floods_max = 1000, moves_max = 8, stations_max = 256;
MAP(BPF_MAP_TYPE_ARRAY, guards, __u32, struct guard, 4096);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, reasons, __u32, __u64, R_REASONS);
struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP);
  __uint(key_size, 4);
  __uint(value_size, 4);
  __uint(max_entries, 64);
} ports SEC(".maps");

static __always_inline int push_tag(struct xdp_md *ctx, __u16 tci) {
  if (bpf_xdp_adjust_head(ctx, -4)) return -1;
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  if (data + ETH_HLEN + 4 > data_end) return -1;
  __builtin_memmove(data, data + 4, 12);
  *(__be16 *)(data + 12) = bpf_htons(ETH_P_8021AD);
  *(__be16 *)(data + 14) = bpf_htons(tci);
  return 0;
}

static __always_inline int pop_tag(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  if (data + ETH_HLEN + 4 > data_end) return -1;
  __builtin_memmove(data + 4, data, 12);
  return bpf_xdp_adjust_head(ctx, 4);
}

static __always_inline int because(__u32 reason, int action) {
  __u64 *count = bpf_map_lookup_elem(&reasons, &reason);
  if (count) *count += 1;
  return action;
}

// 01-80-C2-00-00-0x: spanning tree, LACP, LLDP and their like, which no bridge forwards.
static __always_inline int is_link_local(const __u8 *mac) {
  return mac[0] == 0x01 && mac[1] == 0x80 && mac[2] == 0xc2 && mac[3] == 0 && mac[4] == 0 &&
         mac[5] < 16;
}

// The customer's VLAN is the tag's own at the customer's side and the inner one's at the
// provider's.
static __always_inline int vlans_of(struct ethhdr* eth, void* data_end, __u32* customer,
                                    __u32* service) {
  struct vlan_header *tag = (void *)(eth + 1);
  if ((void *)(tag + 1) > data_end) return R_SHORT;
  if (eth->h_proto == bpf_htons(ETH_P_8021Q)) {
    *customer = bpf_ntohs(tag->tci) & 0xfff;
    *service = 0;
    return -1;
  }
  if (eth->h_proto != bpf_htons(ETH_P_8021AD)) return R_UNTAGGED;
  struct vlan_header *inner = tag + 1;
  if ((void *)(inner + 1) > data_end) return R_SHORT;
  if (tag->proto != bpf_htons(ETH_P_8021Q)) return R_WRONG_SERVICE;
  *service = bpf_ntohs(tag->tci) & 0xfff;
  *customer = bpf_ntohs(inner->tci) & 0xfff;
  return *service ? -1 : R_WRONG_SERVICE;
}

// -1: the source is known at this port from now on.
static __always_inline int learn(struct mac_key* source, struct guard* guard, __u32 port,
                                 __u64 now) {
  struct entry here = {.port = port, .seen_ns = now};
  struct entry *known = bpf_map_lookup_elem(&table, source);
  if (!known) {
    if (guard->stations >= stations_max) return R_FULL;
    if (bpf_map_update_elem(&table, source, &here, BPF_NOEXIST)) return R_NO_ROOM;
    __sync_fetch_and_add(&guard->stations, 1);
    return -1;
  }
  if (known->port != port) {
    if (now - known->seen_ns < WINDOW_NS && __sync_fetch_and_add(&guard->moves, 1) >= moves_max)
      return R_MOVING;
    known->port = port;
  }
  known->seen_ns = now;
  return -1;
}

SEC("xdp")
int edge(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end) return because(R_SHORT, XDP_DROP);
  if (is_link_local(eth->h_dest)) return because(R_LINK_LOCAL, XDP_PASS);
  __u32 vlan = 0, service = 0;
  int wrong = vlans_of(eth, data_end, &vlan, &service);
  if (wrong >= 0) return because(wrong, wrong == R_UNTAGGED ? XDP_PASS : XDP_DROP);
  struct mapping *mapping = bpf_map_lookup_elem(&mappings, &vlan);
  if (!mapping || !mapping->service) return because(R_NO_SERVICE, XDP_DROP);
  if (service && service != (mapping->service & 0xfff)) return because(R_WRONG_SERVICE, XDP_DROP);
  struct guard *guard = bpf_map_lookup_elem(&guards, &vlan);
  if (!guard) return because(R_NO_SERVICE, XDP_DROP);
  __u64 now = bpf_ktime_get_ns();
  if (now - guard->window_ns > WINDOW_NS) {
    guard->window_ns = now;
    guard->floods = 0;
    guard->moves = 0;
  }
  struct mac_key source = {.vlan = vlan}, destination = {.vlan = vlan};
  __builtin_memcpy(source.mac, eth->h_source, 6);
  __builtin_memcpy(destination.mac, eth->h_dest, 6);
  if (source.mac[0] & 1) return because(R_BAD_SOURCE, XDP_DROP);
  wrong = learn(&source, guard, ctx->ingress_ifindex, now);
  if (wrong >= 0) return because(wrong, XDP_DROP);
  struct entry *there = destination.mac[0] & 1 ? 0 : bpf_map_lookup_elem(&table, &destination);
  if (!there && __sync_fetch_and_add(&guard->floods, 1) >= floods_max)
    return because(R_STORM, XDP_DROP);
  if (there && there->port == ctx->ingress_ifindex) return because(R_SAME_PORT, XDP_DROP);
  if (service) {
    if (pop_tag(ctx)) return because(R_NO_ROOM, XDP_ABORTED);
  } else if (push_tag(ctx, (mapping->priority & 7) << 13 | (mapping->service & 0xfff))) {
    return because(R_NO_ROOM, XDP_ABORTED);
  }
  if (!there) return because(R_FLOODED, XDP_PASS);
  because(R_FORWARDED, 0);
  return bpf_redirect_map(&ports, there->port & 63, XDP_PASS);
}

char LICENSE[] SEC("license") = "GPL";
