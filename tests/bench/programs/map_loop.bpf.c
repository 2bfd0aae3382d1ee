// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Map operations in a loop: each run takes the next batch of STEP keys from a ring and does one
// operation with each. Built with MAP_TYPE, KEY_SIZE (bytes), ENTRIES, BATCHES (a power of two)
// and, for a prefix map, LPM.
#include "packet.h"

enum { OP_LOOKUP, OP_INSERT, OP_OVERWRITE, OP_DELETE, OP_CHURN };

struct key {
  __u32 words[KEY_SIZE / 4];
};

struct batch {
  struct key keys[STEP];
};

struct state {
  __u32 first;  // of the run's part of the ring
  __u32 mask;   // its size - 1
  __u32 at;     // next batch, counted from `first`
  __u32 op;
  // churn: batches that are in the table; the run's is deleted, the first that is not comes in
  __u32 ahead;
};

struct {
  __uint(type, MAP_TYPE);
  __type(key, struct key);
  __type(value, __u64);
  __uint(max_entries, ENTRIES);
#ifdef LPM
  __uint(map_flags, BPF_F_NO_PREALLOC);
#endif
} table SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, struct batch);
  __uint(max_entries, BATCHES);
} ring SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, __u32);
  __type(value, struct state);
  __uint(max_entries, 1);
} states SEC(".maps");

SEC("socket")
int map_loop(struct __sk_buff *skb) {
  __u32 zero = 0;
  __u64 sum = 0, one = 1;
  struct state *state = bpf_map_lookup_elem(&states, &zero);
  if (!state) return DROP;
  __u32 index = state->first + (state->at & state->mask);
  state->at++;
  struct batch *batch = bpf_map_lookup_elem(&ring, &index);
  if (!batch) return DROP;
  if (state->op == OP_LOOKUP) {
#pragma clang loop unroll(disable)
    for (int i = 0; i < STEP; i++) {
      struct key key = batch->keys[i];
      __u64 *value = bpf_map_lookup_elem(&table, &key);
      if (value) sum += *value;
    }
  } else if (state->op == OP_DELETE) {
#pragma clang loop unroll(disable)
    for (int i = 0; i < STEP; i++) {
      struct key key = batch->keys[i];
      sum += bpf_map_delete_elem(&table, &key) == 0;
    }
  } else if (state->op == OP_CHURN) {
    index = state->first + ((state->at - 1 + state->ahead) & state->mask);
    struct batch *coming = bpf_map_lookup_elem(&ring, &index);
    if (!coming) return DROP;
#pragma clang loop unroll(disable)
    for (int i = 0; i < STEP; i++) {
      struct key key = batch->keys[i];
      sum += bpf_map_delete_elem(&table, &key) == 0;
      key = coming->keys[i];
      sum += bpf_map_update_elem(&table, &key, &one, BPF_NOEXIST) == 0;
    }
  } else {
    __u64 flags = state->op == OP_INSERT ? BPF_NOEXIST : BPF_ANY;
#pragma clang loop unroll(disable)
    for (int i = 0; i < STEP; i++) {
      struct key key = batch->keys[i];
      sum += bpf_map_update_elem(&table, &key, &one, flags) == 0;
    }
  }
  return sum;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
