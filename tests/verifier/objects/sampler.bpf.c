// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Samples packets to a perf buffer, at rates set by user space; histograms of sizes and gaps
// between packets. Interesting traffic (SYN, DNS, ICMP) has rates of its own, an interface a budget
// of samples a second, as sFlow agents have it.
#include "common.h"

#define INTERFACES 64
enum kind {
  K_OTHER,
  K_TCP,
  K_TCP_SYN,
  K_UDP,
  K_DNS,
  K_ICMP,
  K_IP6,
  K_ARP,
  K_FRAGMENT,
  K_SHORT,
  KINDS
};
struct settings {
  __u32 rate[16];
  __u32 snap;
  __u32 enabled;
  __u32 samples_per_s;
};
struct record {
  __u64 time_ns;
  __u32 length;
  __u32 snap;
  __u32 ingress;
  __u32 queue;
  __u32 kind;
  __u32 rate;
  __u32 pool;
  __u32 suppressed;
};
struct histograms {
  __u64 sizes[32];
  __u64 gaps[64];
  __u64 kinds[16];
  __u64 last_ns;
};
struct agent {
  __u64 window_ns;
  __u32 taken;
  __u32 suppressed;
  __u32 pool;
  __u32 pad;
};
volatile struct settings settings = {
    .rate = {[K_OTHER] = 1024, [K_TCP] = 1024, [K_TCP_SYN] = 64, [K_UDP] = 512,
             [K_DNS] = 32, [K_ICMP] = 16, [K_ARP] = 16},
    .snap = 128, .enabled = 1, .samples_per_s = 1000};
struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __uint(key_size, 4);
  __uint(value_size, 4);
  __uint(max_entries, 64);
} samples SEC(".maps");
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, histograms, __u32, struct histograms, 1);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, agents, __u32, struct agent, INTERFACES);

static __noinline __u32 log2_floor(__u64 value) {
  __u32 result = 0;
  for (int shift = 32; shift; shift >>= 1) {
    if (value >> shift) {
      value >>= shift;
      result += shift;
    }
  }
  return result;
}

static __always_inline enum kind kind_of_transport(__u8 protocol, void* transport, void* data_end,
                                                   enum kind other) {
  if (protocol == IPPROTO_TCP) {
    struct tcphdr *tcp = transport;
    if ((void *)(tcp + 1) > data_end) return K_SHORT;
    return tcp->syn || tcp->rst ? K_TCP_SYN : K_TCP;
  }
  if (protocol == IPPROTO_UDP) {
    struct udphdr *udp = transport;
    if ((void *)(udp + 1) > data_end) return K_SHORT;
    return udp->dest == bpf_htons(53) || udp->source == bpf_htons(53) ? K_DNS : K_UDP;
  }
  return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ? K_ICMP : other;
}

static __always_inline enum kind kind_of(void *data, void *data_end) {
  struct ethhdr *eth = data;
  if ((void *)(eth + 1) > data_end) return K_SHORT;
  __be16 type = eth->h_proto;
  void *network = eth + 1;
  for (int i = 0; i < 2; i++) {
    struct vlan_header *tag = network;
    if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD)) break;
    if ((void *)(tag + 1) > data_end) return K_SHORT;
    type = tag->proto;
    network = tag + 1;
  }
  if (type == bpf_htons(ETH_P_ARP)) return K_ARP;
  if (type == bpf_htons(ETH_P_IP)) {
    struct iphdr *ip = network;
    if ((void *)(ip + 1) > data_end) return K_SHORT;
    if (ip->frag_off & bpf_htons(0x3fff)) return K_FRAGMENT;
    return kind_of_transport(ip->protocol, (void *)ip + ip->ihl * 4, data_end, K_OTHER);
  }
  if (type == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr *ip = network;
    if ((void *)(ip + 1) > data_end) return K_SHORT;
    if (ip->nexthdr == IPPROTO_FRAGMENT) return K_FRAGMENT;
    return kind_of_transport(ip->nexthdr, ip + 1, data_end, K_IP6);
  }
  return K_OTHER;
}

static __always_inline int within_budget(struct agent *agent, __u64 now) {
  if (now - agent->window_ns >= 1000000000ull) {
    agent->window_ns = now;
    agent->taken = 0;
  }
  if (agent->taken >= settings.samples_per_s) {
    agent->suppressed++;
    return 0;
  }
  agent->taken++;
  return 1;
}

SEC("xdp")
int sample(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  __u32 length = data_end - data;
  __u32 zero = 0;
  __u64 now = bpf_ktime_get_ns();
  __u32 kind = kind_of(data, data_end) & 15;
  struct histograms *all = bpf_map_lookup_elem(&histograms, &zero);
  if (all) {
    __u32 slot = length / 64;
    if (slot > 31) slot = 31;
    all->sizes[slot]++;
    __u32 gap = log2_floor(now - all->last_ns);
    all->gaps[gap & 63]++;
    all->kinds[kind]++;
    all->last_ns = now;
  }
  __u32 interface = ctx->ingress_ifindex % INTERFACES;
  struct agent *agent = bpf_map_lookup_elem(&agents, &interface);
  if (!agent || !settings.enabled) return XDP_PASS;
  agent->pool++;
  __u32 rate = settings.rate[kind];
  if (rate == 0) rate = settings.rate[K_OTHER];
  if (rate == 0 || bpf_get_prandom_u32() % rate) return XDP_PASS;
  if (!within_budget(agent, now)) return XDP_PASS;
  __u64 snap = settings.snap;
  if (snap > length) snap = length;
  struct record record = {.time_ns = now,
                          .length = length,
                          .snap = snap,
                          .ingress = ctx->ingress_ifindex,
                          .queue = ctx->rx_queue_index,
                          .kind = kind,
                          .rate = rate,
                          .pool = agent->pool,
                          .suppressed = agent->suppressed};
  if (bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU | (snap & 0xfffff) << 32, &record,
                            sizeof record))
    agent->suppressed++;
  return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
