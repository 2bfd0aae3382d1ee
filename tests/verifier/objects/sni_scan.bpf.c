// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Finds the server name in a TLS ClientHello: walks the extensions with bpf_loop, compares with a
// table.
#include "common.h"

#define HOST_MAX 64
struct host {
  char name[HOST_MAX];
};
struct walk {
  struct __sk_buff *skb;
  __u32 offset;
  __u32 end;
  __u32 found;
  __u32 length;
};
MAP(BPF_MAP_TYPE_HASH, hosts, struct host, __u32, 1024);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, room, __u32, struct host, 1);

static long extension(__u32 index, struct walk *at) {
  __be16 header[2];
  if (at->offset + 4 > at->end) return 1;
  if (bpf_skb_load_bytes(at->skb, at->offset, header, sizeof header) < 0) return 1;
  __u32 length = bpf_ntohs(header[1]);
  if (header[0] == 0) {
    at->found = at->offset + 4 + 5;
    at->length = length > 5 ? length - 5 : 0;
    return 1;
  }
  at->offset += 4 + length;
  return 0;
}

SEC("socket")
int names(struct __sk_buff *skb) {
  struct iphdr ip;
  struct tcphdr tcp;
  if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) < 0 || ip.protocol != IPPROTO_TCP) return 0;
  __u32 offset = ETH_HLEN + ip.ihl * 4;
  if (bpf_skb_load_bytes(skb, offset, &tcp, sizeof tcp) < 0) return 0;
  offset += tcp.doff * 4;
  __u8 record[6];
  if (bpf_skb_load_bytes(skb, offset, record, sizeof record) < 0 || record[0] != 22 ||
      record[5] != 1)
    return 0;
  offset += 5 + 4 + 2 + 32;
  __u8 small;
  if (bpf_skb_load_bytes(skb, offset, &small, 1) < 0) return 0;
  offset += 1 + small;
  __be16 size;
  if (bpf_skb_load_bytes(skb, offset, &size, 2) < 0) return 0;
  offset += 2 + bpf_ntohs(size);
  if (bpf_skb_load_bytes(skb, offset, &small, 1) < 0) return 0;
  offset += 1 + small;
  if (bpf_skb_load_bytes(skb, offset, &size, 2) < 0) return 0;
  struct walk walk = {.skb = skb, .offset = offset + 2, .end = offset + 2 + bpf_ntohs(size)};
  bpf_loop(32, extension, &walk, 0);
  if (!walk.found) return 0;
  __u32 zero = 0;
  struct host *host = bpf_map_lookup_elem(&room, &zero);
  if (!host) return 0;
  __builtin_memset(host, 0, sizeof *host);
  __u32 length = walk.length;
  if (length == 0 || length > HOST_MAX) return 0;
  if (bpf_skb_load_bytes(skb, walk.found, host->name, length) < 0) return 0;
  __u32 *hits = bpf_map_lookup_elem(&hosts, host);
  if (!hits) return 0;
  __sync_fetch_and_add(hits, 1);
  return skb->len;
}

char LICENSE[] SEC("license") = "GPL";
