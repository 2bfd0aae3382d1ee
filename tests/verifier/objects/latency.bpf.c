// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Kernel tracing: time between two probes in a logarithmic histogram, system calls by process.
#include "common.h"

#define SLOTS 27
struct histogram {
  __u64 slots[SLOTS];
};
struct process {
  __u64 calls;
  char name[16];
};
struct pt_regs_x86 {
  __u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
MAP(BPF_MAP_TYPE_HASH, starts, __u64, __u64, 10240);
MAP(BPF_MAP_TYPE_HASH, histograms, __u32, struct histogram, 256);
MAP(BPF_MAP_TYPE_PERCPU_HASH, processes, __u32, struct process, 10240);

static __always_inline __u32 log2_of(__u64 value) {
  __u32 result = 0;
  if (value >> 32) { result += 32; value >>= 32; }
  if (value >> 16) { result += 16; value >>= 16; }
  if (value >> 8) { result += 8; value >>= 8; }
  if (value >> 4) { result += 4; value >>= 4; }
  if (value >> 2) { result += 2; value >>= 2; }
  return result + (value >> 1);
}

SEC("kprobe/vfs_read")
int begin(struct pt_regs_x86 *ctx) {
  __u64 id = bpf_get_current_pid_tgid();
  __u64 now = bpf_ktime_get_ns();
  if (ctx->dx > 1 << 20) return 0;
  bpf_map_update_elem(&starts, &id, &now, BPF_ANY);
  return 0;
}

SEC("kretprobe/vfs_read")
int finish(struct pt_regs_x86 *ctx) {
  __u64 id = bpf_get_current_pid_tgid();
  __u64 *start = bpf_map_lookup_elem(&starts, &id);
  if (!start) return 0;
  __u64 took = bpf_ktime_get_ns() - *start;
  bpf_map_delete_elem(&starts, &id);
  if ((__s64)ctx->ax < 0) return 0;
  __u32 process = id >> 32;
  struct histogram *histogram = bpf_map_lookup_elem(&histograms, &process);
  if (!histogram) {
    static const struct histogram empty;
    bpf_map_update_elem(&histograms, &process, &empty, BPF_NOEXIST);
    histogram = bpf_map_lookup_elem(&histograms, &process);
    if (!histogram) return 0;
  }
  __u32 slot = log2_of(took / 1000);
  if (slot >= SLOTS) slot = SLOTS - 1;
  __sync_fetch_and_add(&histogram->slots[slot], 1);
  return 0;
}

SEC("tracepoint/raw_syscalls/sys_enter")
int calls(__u64 *ctx) {
  __u32 process = bpf_get_current_pid_tgid() >> 32;
  struct process *known = bpf_map_lookup_elem(&processes, &process);
  if (known) {
    known->calls++;
    return 0;
  }
  struct process fresh = {.calls = ctx[1] < 500};
  bpf_get_current_comm(fresh.name, sizeof fresh.name);
  bpf_map_update_elem(&processes, &process, &fresh, BPF_ANY);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
