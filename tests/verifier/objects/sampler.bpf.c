// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Samples packets to a perf buffer, at rates set by user space; histograms of sizes and gaps between packets.
#include "common.h"

struct settings {
  __u32 rate;
  __u32 snap;
  __u32 enabled;
};
struct record {
  __u64 time_ns;
  __u32 length;
  __u32 snap;
  __u32 ingress;
};
struct histograms {
  __u64 sizes[32];
  __u64 gaps[64];
  __u64 last_ns;
};
volatile struct settings settings = {.rate = 1024, .snap = 128, .enabled = 1};
struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __uint(key_size, 4);
  __uint(value_size, 4);
  __uint(max_entries, 64);
} samples SEC(".maps");
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, histograms, __u32, struct histograms, 1);

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

SEC("xdp")
int sample(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  __u32 length = data_end - data;
  __u32 zero = 0;
  __u64 now = bpf_ktime_get_ns();
  struct histograms *all = bpf_map_lookup_elem(&histograms, &zero);
  if (all) {
    __u32 slot = length / 64;
    if (slot > 31) slot = 31;
    all->sizes[slot]++;
    __u32 gap = log2_floor(now - all->last_ns);
    all->gaps[gap & 63]++;
    all->last_ns = now;
  }
  if (!settings.enabled || settings.rate == 0) return XDP_PASS;
  if (bpf_get_prandom_u32() % settings.rate) return XDP_PASS;
  __u64 snap = settings.snap;
  if (snap > length) snap = length;
  struct record record = {.time_ns = now, .length = length, .snap = snap, .ingress = ctx->ingress_ifindex};
  bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU | (snap & 0xfffff) << 32, &record, sizeof record);
  return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
