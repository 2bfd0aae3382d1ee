// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Kernel tracing: how reads go (sizes, sequential or random), how long they take by process with
// the slow ones told, and the time tasks spend on and off the CPU. Logarithmic histograms
// throughout.
#include "common.h"

#define SLOTS 27
struct histogram {
  __u64 slots[SLOTS];
};
struct pt_regs_x86 {
  __u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags,
      sp, ss;
};
struct sched_switch {
  __u64 common;
  char prev_comm[16];
  __s32 prev_pid;
  __s32 prev_prio;
  __s64 prev_state;
  char next_comm[16];
  __s32 next_pid;
  __s32 next_prio;
};
struct read {
  __u64 start_ns;
  __u64 size;
  __u64 file;
};
struct stream_key {
  __u64 file;
  __u32 process;
  __u32 pad;
};
struct stream {
  __u64 next;
  __u64 bytes;
  __u32 sequential, forward, backward, reads;
};
struct filter {
  __u32 user;
  __u32 any_user;
  __u64 size_min, size_max;
  __u64 slow_ns;
  char name[16];
};
struct slow {
  __u64 took_ns;
  __u64 size;
  __s64 result;
  __u32 process, thread;
  char name[16];
};
struct task {
  __u64 on_ns, off_ns;
  __u64 total_on_ns, total_off_ns;
  __u32 preempted, slept, stuck, stopped;
  __u32 switches;
  __u32 migrations;
  __u32 cpu;
  __u32 pad;
};
enum outcome {
  O_DONE,
  O_SHORT,
  O_END,
  O_AGAIN,
  O_INTERRUPTED,
  O_FAULT,
  O_IO,
  O_OTHER,
  O_SLOW,
  O_LOST,
  OUTCOMES
};
MAP(BPF_MAP_TYPE_HASH, starts, __u64, struct read, 10240);
MAP(BPF_MAP_TYPE_LRU_HASH, streams, struct stream_key, struct stream, 10240);
MAP(BPF_MAP_TYPE_ARRAY, filters, __u32, struct filter, 1);
MAP(BPF_MAP_TYPE_HASH, histograms, __u32, struct histogram, 256);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, sizes, __u32, struct histogram, 6);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, outcomes, __u32, __u64, OUTCOMES);
MAP(BPF_MAP_TYPE_LRU_HASH, tasks, __u32, struct task, 16384);
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 16);
} slow_reads SEC(".maps");

static __always_inline __u32 log2_of(__u64 value) {
  __u32 result = 0;
  if (value >> 32) { result += 32; value >>= 32; }
  if (value >> 16) { result += 16; value >>= 16; }
  if (value >> 8) { result += 8; value >>= 8; }
  if (value >> 4) { result += 4; value >>= 4; }
  if (value >> 2) { result += 2; value >>= 2; }
  return result + (value >> 1);
}

static __always_inline void enter(struct histogram *histogram, __u64 value) {
  __u32 slot = log2_of(value);
  if (slot >= SLOTS) slot = SLOTS - 1;
  __sync_fetch_and_add(&histogram->slots[slot], 1);
}

static __always_inline void enter_in(__u32 which, __u64 value) {
  struct histogram *histogram = bpf_map_lookup_elem(&sizes, &which);
  if (histogram) enter(histogram, value);
}

static __always_inline void count(__u32 what) {
  __u64 *counter = bpf_map_lookup_elem(&outcomes, &what);
  if (counter) *counter += 1;
}

static __always_inline int is_wanted(struct filter *filter, __u64 size) {
  if (size < filter->size_min || size > filter->size_max) return 0;
  if (!filter->any_user && (__u32)bpf_get_current_uid_gid() != filter->user) return 0;
  if (!filter->name[0]) return 1;
  char name[16] = {};
  bpf_get_current_comm(name, sizeof name);
  for (int i = 0; i < 16; i++) {
    if (name[i] != filter->name[i]) return 0;
    if (!name[i]) break;
  }
  return 1;
}

// Where the read begins, held against where the last one of this process in this file ended.
static __always_inline void follow(struct stream_key *key, __u64 position, __u64 size) {
  struct stream *known = bpf_map_lookup_elem(&streams, key);
  if (!known) {
    struct stream fresh = {.next = position + size, .bytes = size, .reads = 1};
    bpf_map_update_elem(&streams, key, &fresh, BPF_NOEXIST);
    return;
  }
  if (position == known->next) {
    known->sequential++;
  } else if (position > known->next) {
    known->forward++;
    enter_in(1, position - known->next);
  } else {
    known->backward++;
    enter_in(2, known->next - position);
  }
  known->next = position + size;
  known->bytes += size;
  known->reads++;
}

SEC("kprobe/vfs_read")
int begin(struct pt_regs_x86 *ctx) {
  __u32 zero = 0;
  __u64 id = bpf_get_current_pid_tgid();
  struct filter *filter = bpf_map_lookup_elem(&filters, &zero);
  if (!filter || !is_wanted(filter, ctx->dx)) return 0;
  struct read read = {.start_ns = bpf_ktime_get_ns(), .size = ctx->dx, .file = ctx->di};
  enter_in(0, read.size);
  __u64 position = 0;
  if (ctx->cx && bpf_probe_read_kernel(&position, sizeof position, (void *)ctx->cx) == 0) {
    struct stream_key key = {.file = read.file, .process = id >> 32};
    follow(&key, position, read.size);
  }
  if (bpf_map_update_elem(&starts, &id, &read, BPF_ANY)) count(O_LOST);
  return 0;
}

static __always_inline __u32 outcome_of(__s64 result, __u64 asked) {
  switch (result) {
    case 0: return O_END;
    case -11: return O_AGAIN;
    case -4:
    case -512: return O_INTERRUPTED;
    case -14: return O_FAULT;
    case -5: return O_IO;
  }
  if (result < 0) return O_OTHER;
  return (__u64)result < asked ? O_SHORT : O_DONE;
}

static __always_inline void tell(struct read *read, __u64 id, __u64 took, __s64 result) {
  struct slow *slow = bpf_ringbuf_reserve(&slow_reads, sizeof *slow, 0);
  if (!slow) return count(O_LOST);
  slow->took_ns = took;
  slow->size = read->size;
  slow->result = result;
  slow->process = id >> 32;
  slow->thread = id;
  bpf_get_current_comm(slow->name, sizeof slow->name);
  bpf_ringbuf_submit(slow, 0);
  count(O_SLOW);
}

SEC("kretprobe/vfs_read")
int finish(struct pt_regs_x86 *ctx) {
  __u32 zero = 0;
  __u64 id = bpf_get_current_pid_tgid();
  struct read *start = bpf_map_lookup_elem(&starts, &id);
  if (!start) return 0;
  struct read read = *start;
  bpf_map_delete_elem(&starts, &id);
  __u64 took = bpf_ktime_get_ns() - read.start_ns;
  __s64 result = ctx->ax;
  count(outcome_of(result, read.size));
  struct filter *filter = bpf_map_lookup_elem(&filters, &zero);
  if (filter && filter->slow_ns && took > filter->slow_ns) tell(&read, id, took, result);
  if (result < 0) return 0;
  enter_in(3, result);
  __u32 process = id >> 32;
  struct histogram *histogram = bpf_map_lookup_elem(&histograms, &process);
  if (!histogram) {
    static const struct histogram empty;
    bpf_map_update_elem(&histograms, &process, &empty, BPF_NOEXIST);
    histogram = bpf_map_lookup_elem(&histograms, &process);
    if (!histogram) return 0;
  }
  enter(histogram, took / 1000);
  return 0;
}

static __always_inline struct task *task_of(__u32 thread) {
  struct task *task = bpf_map_lookup_elem(&tasks, &thread);
  if (task) return task;
  struct task fresh = {};
  bpf_map_update_elem(&tasks, &thread, &fresh, BPF_NOEXIST);
  return bpf_map_lookup_elem(&tasks, &thread);
}

static __always_inline void leaves(struct task *task, __s64 state, __u64 now) {
  task->off_ns = now;
  task->switches++;
  if (state == 0 || state & 0x100) task->preempted++;
  else if (state & 1) task->slept++;
  else if (state & 2) task->stuck++;
  else task->stopped++;
  if (!task->on_ns) return;
  task->total_on_ns += now - task->on_ns;
  enter_in(4, (now - task->on_ns) / 1000);
}

static __always_inline void arrives(struct task *task, __u32 cpu, __u64 now) {
  task->on_ns = now;
  if (task->switches && task->cpu != cpu) task->migrations++;
  task->cpu = cpu;
  if (!task->off_ns) return;
  task->total_off_ns += now - task->off_ns;
  enter_in(5, (now - task->off_ns) / 1000);
}

SEC("tracepoint/sched/sched_switch")
int switched(struct sched_switch *ctx) {
  __u64 now = bpf_ktime_get_ns();
  if (ctx->prev_pid) {
    struct task *task = task_of(ctx->prev_pid);
    if (task) leaves(task, ctx->prev_state, now);
  }
  if (ctx->next_pid) {
    struct task *task = task_of(ctx->next_pid);
    if (task) arrives(task, bpf_get_smp_processor_id(), now);
  }
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
