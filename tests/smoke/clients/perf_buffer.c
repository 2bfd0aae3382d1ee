// A reader of a perf event array by libbpf's perf_buffer, as tools have it: waits on its epoll,
// sees each record in its order, and hears of those that had no room. Its program runs by
// BPF_PROG_TEST_RUN. Ends with 1 after the first thing that is not as it must be.
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "samples.skel.h"

struct sample {
  __u64 number;
  __u32 length;
};

static __u64 expected_number = 1000;
static __u64 heard, lost;

static void hear(void *context, int cpu, void *data, __u32 size) {
  (void)cpu;
  const struct sample *sample = data;
  // 16 and 14 bytes, filled up so that with the size before them they are a multiple of 8
  CHECK(size == 36);
  CHECK(sample->number >= expected_number);
  if (*(int *)context) CHECK(sample->number == expected_number);
  expected_number = sample->number + 1;
  heard++;
}

static void miss(void *context, int cpu, __u64 count) {
  (void)context;
  (void)cpu;
  lost += count;
}

static void run(int program, int times) {
  char packet[128] = {0};
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof packet);
  for (int i = 0; i < times; i++) CHECK(bpf_prog_test_run_opts(program, &options) == 0);
}

static enum bpf_perf_event_ret take(void *count, int cpu, struct perf_event_header *record) {
  (void)cpu;
  if (record->type == PERF_RECORD_SAMPLE) (*(int *)count)++;
  return LIBBPF_PERF_EVENT_CONT;
}

// Wakes a reader up that wants samples three at a time.
static void check_wakeups(const struct samples_bpf *skeleton) {
  int taken = 0;
  struct perf_event_attr attr = {.size = sizeof attr,
                                 .type = PERF_TYPE_SOFTWARE,
                                 .config = PERF_COUNT_SW_BPF_OUTPUT,
                                 .sample_type = PERF_SAMPLE_RAW,
                                 .sample_period = 1,
                                 .wakeup_events = 3};
  struct perf_buffer* buffer =
      perf_buffer__new_raw(bpf_map__fd(skeleton->maps.samples), 2, &attr, take, &taken, NULL);
  CHECK(buffer != NULL);
  const int program = bpf_program__fd(skeleton->progs.report);
  for (int round = 1; round < 10; round++) {
    run(program, 2);
    CHECK(perf_buffer__poll(buffer, 0) == 0 && taken == 3 * (round - 1));
    run(program, 1);
    CHECK(perf_buffer__poll(buffer, 10000) == 1 && taken == 3 * round);
  }
  perf_buffer__free(buffer);
}

int main(void) {
  cpu_set_t one;  // there is an order of records for each CPU
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
  struct samples_bpf *skeleton = samples_bpf__open_and_load();
  CHECK(skeleton != NULL);
  const int program = bpf_program__fd(skeleton->progs.report);
  run(program, 1);
  CHECK(skeleton->bss->last_error == -ENOENT);  // nobody listens
  expected_number = 1001;

  int every_one = 1;
  struct perf_buffer* buffer =
      perf_buffer__new(bpf_map__fd(skeleton->maps.samples), 2, hear, miss, &every_one, NULL);
  CHECK(buffer != NULL);
  CHECK(perf_buffer__poll(buffer, 0) == 0);
  run(program, 1);
  CHECK(skeleton->bss->last_error == 0);
  CHECK(perf_buffer__poll(buffer, 10000) == 1 && heard == 1);
  run(program, 50);
  CHECK(perf_buffer__consume(buffer) == 0 && heard == 51);

  // Waits for what another process causes; the ring wraps around several times.
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 20; i++) {
      usleep(20000);
      run(program, 50);
    }
    _exit(0);
  }
  while (heard + lost < 1051) CHECK(perf_buffer__poll(buffer, 10000) >= 0);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  CHECK(lost == 0);

  // More than there is room for.
  every_one = 0;
  run(program, 1000);
  CHECK(skeleton->bss->last_error == -ENOSPC);
  CHECK(perf_buffer__consume(buffer) == 0);
  run(program, 1);
  CHECK(perf_buffer__consume(buffer) == 0);
  CHECK(lost > 0 && heard + lost == 2052);
  perf_buffer__free(buffer);
  run(program, 1);
  CHECK(skeleton->bss->last_error == -ENOENT);
  check_wakeups(skeleton);
  samples_bpf__destroy(skeleton);
  puts("all as expected");
  return 0;
}
