// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Heavy hitters: a count-min sketch, the top sources kept in a small table that is swept by
// bpf_for_each_map_elem.
#include "common.h"

#define ROWS 4
#define COLUMNS 1024
struct sketch {
  __u32 cells[ROWS][COLUMNS];
};
struct sweep {
  __u32 least;
  __u32 source;
  __u32 seen;
};
MAP(BPF_MAP_TYPE_ARRAY, sketches, __u32, struct sketch, 1);
MAP(BPF_MAP_TYPE_HASH, heavy, __u32, __u32, 64);

struct bpf_map;
static long find_least(struct bpf_map *map, __u32 *source, __u32 *count, struct sweep *sweep) {
  sweep->seen++;
  if (*count < sweep->least) {
    sweep->least = *count;
    sweep->source = *source;
  }
  return 0;
}

SEC("xdp")
int hitters(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *eth = data;
  struct iphdr *ip = (void *)(eth + 1);
  if ((void *)(ip + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP)) return XDP_PASS;
  __u32 source = ip->saddr, zero = 0;
  struct sketch *sketch = bpf_map_lookup_elem(&sketches, &zero);
  if (!sketch) return XDP_PASS;
  __u32 least = ~0u;
#pragma unroll
  for (__u32 row = 0; row < ROWS; row++) {
    __u32 column = mix3(source, row * 0x9e3779b9u, 0xdeadbeefu) % COLUMNS;
    __u32 count = ++sketch->cells[row][column];
    if (count < least) least = count;
  }
  if (least < 1000) return XDP_PASS;
  __u32 *known = bpf_map_lookup_elem(&heavy, &source);
  if (known) {
    *known = least;
    return XDP_PASS;
  }
  if (bpf_map_update_elem(&heavy, &source, &least, BPF_NOEXIST) == 0) return XDP_PASS;
  struct sweep sweep = {.least = least};
  bpf_for_each_map_elem(&heavy, find_least, &sweep, 0);
  if (sweep.source == 0) return XDP_PASS;
  bpf_map_delete_elem(&heavy, &sweep.source);
  bpf_map_update_elem(&heavy, &source, &least, BPF_ANY);
  return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
