// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// VLAN filter: counts packets by VLAN id (outer tag, 802.1Q or 802.1ad; untagged ones count as id
// 0) and drops the ids that are marked in `vlan_blocked`, empty at the start. Reads the tag from
// the frame: ports do not strip it.
//   vlan_packets: id (0 to 4095) -> count
//   vlan_blocked: id -> non-zero to drop
#include "packet.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, __u64);
  __uint(max_entries, 4096);
} vlan_packets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, __u8);
  __uint(max_entries, 4096);
} vlan_blocked SEC(".maps");

SEC("socket")
int filter_vlans(struct __sk_buff *skb) {
  __u16 type, tag;
  __u32 id = 0;
  if (load_u16(skb, ETH_TYPE_OFFSET, &type)) return DROP;
  if (type == ETH_VLAN || type == ETH_QINQ) {
    if (load_u16(skb, ETH_LENGTH, &tag)) return DROP;
    id = tag & 0x0fff;
  }
  __u64 *packets = bpf_map_lookup_elem(&vlan_packets, &id);
  if (packets) __sync_fetch_and_add(packets, 1);
  __u8 *blocked = bpf_map_lookup_elem(&vlan_blocked, &id);
  return blocked && *blocked ? DROP : ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
