// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A layer 4 load balancer: virtual addresses, a consistent-hash ring, an LRU of connections,
// IP-in-IP towards the server.
#include "common.h"

#define RING_SIZE 65537
#define MAX_SERVERS 4096

struct service_key {
  __u32 address;
  __u16 port;
  __u8 protocol;
  __u8 pad;
};
struct service {
  __u32 number;
  __u32 flags;
};
struct server {
  __u32 address;
  __u32 weight;
};
struct counters {
  __u64 packets;
  __u64 bytes;
};

MAP(BPF_MAP_TYPE_HASH, services, struct service_key, struct service, 512);
MAP(BPF_MAP_TYPE_LRU_HASH, connections, struct flow_key, __u32, 65536);
MAP(BPF_MAP_TYPE_ARRAY, ring, __u32, __u32, RING_SIZE * 16);
MAP(BPF_MAP_TYPE_ARRAY, servers, __u32, struct server, MAX_SERVERS);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, statistics, __u32, struct counters, 512);

static __always_inline int parse_ports(void* data, void* data_end, __u64 offset,
                                       struct flow_key* flow, int* syn) {
  if (flow->protocol == IPPROTO_TCP) {
    struct tcphdr *tcp = data + offset;
    if ((void *)(tcp + 1) > data_end) return -1;
    flow->source_port = tcp->source;
    flow->destination_port = tcp->dest;
    *syn = tcp->syn;
    return 0;
  }
  if (flow->protocol == IPPROTO_UDP) {
    struct udphdr *udp = data + offset;
    if ((void *)(udp + 1) > data_end) return -1;
    flow->source_port = udp->source;
    flow->destination_port = udp->dest;
    return 0;
  }
  return -1;
}

static __always_inline struct server* pick(struct flow_key* flow, struct service* service,
                                           int syn) {
  __u32 number;
  __u32 *known = syn ? 0 : bpf_map_lookup_elem(&connections, flow);
  if (known) {
    number = *known;
  } else {
    __u32 hash = mix3(flow->source[0], flow->destination[0],
                      ((__u32)flow->source_port << 16) | flow->destination_port);
    __u32 index = (service->number & 15) * RING_SIZE + hash % RING_SIZE;
    __u32 *entry = bpf_map_lookup_elem(&ring, &index);
    if (!entry) return 0;
    number = *entry;
    bpf_map_update_elem(&connections, flow, &number, BPF_ANY);
  }
  return bpf_map_lookup_elem(&servers, &number);
}

static __always_inline int encapsulate(struct xdp_md* ctx, __u32 source, __u32 destination,
                                       __u16 length) {
  if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct iphdr))) return XDP_DROP;
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *outer = data;
  struct ethhdr *inner = data + sizeof(struct iphdr);
  struct iphdr *ip = data + sizeof(struct ethhdr);
  if ((void*)(outer + 1) > data_end || (void*)(inner + 1) > data_end || (void*)(ip + 1) > data_end)
    return XDP_DROP;
  __builtin_memcpy(outer->h_dest, inner->h_source, ETH_ALEN);
  __builtin_memcpy(outer->h_source, inner->h_dest, ETH_ALEN);
  outer->h_proto = bpf_htons(ETH_P_IP);
  ip->version = 4;
  ip->ihl = 5;
  ip->tos = 0;
  ip->tot_len = bpf_htons(length + sizeof(struct iphdr));
  ip->id = 0;
  ip->frag_off = 0;
  ip->ttl = 64;
  ip->protocol = IPPROTO_IPIP;
  ip->check = 0;
  ip->saddr = source;
  ip->daddr = destination;
  __u64 sum = 0;
  __u16 *words = (__u16 *)ip;
#pragma unroll
  for (int i = 0; i < 10; i++) sum += words[i];
  ip->check = fold_checksum(sum);
  return XDP_TX;
}

SEC("xdp")
int balance(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end) return XDP_DROP;
  if (eth->h_proto != bpf_htons(ETH_P_IP)) return XDP_PASS;
  struct iphdr *ip = data + sizeof *eth;
  if ((void *)(ip + 1) > data_end) return XDP_DROP;
  if (ip->ihl != 5 || (ip->frag_off & bpf_htons(0x3fff))) return XDP_DROP;
  struct flow_key flow = {};
  flow.source[0] = ip->saddr;
  flow.destination[0] = ip->daddr;
  flow.protocol = ip->protocol;
  int syn = 0;
  if (parse_ports(data, data_end, sizeof *eth + sizeof *ip, &flow, &syn) < 0) return XDP_PASS;
  struct service_key key = {flow.destination[0], flow.destination_port, flow.protocol, 0};
  struct service *service = bpf_map_lookup_elem(&services, &key);
  if (!service) {
    key.port = 0;
    service = bpf_map_lookup_elem(&services, &key);
    if (!service) return XDP_PASS;
  }
  __u32 number = service->number & 511;
  struct counters *counters = bpf_map_lookup_elem(&statistics, &number);
  __u16 length = bpf_ntohs(ip->tot_len);
  if (counters) {
    counters->packets++;
    counters->bytes += length;
  }
  struct server *server = pick(&flow, service, syn);
  if (!server || !server->address) return XDP_DROP;
  return encapsulate(ctx, flow.source[0] ^ flow.source_port, server->address, length);
}

char LICENSE[] SEC("license") = "GPL";
