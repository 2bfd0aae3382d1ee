// A program of the common kind: a libbpf skeleton with global variables in mapped memory and a ring
// buffer that it waits on. Runs its BPF program by BPF_PROG_TEST_RUN. Ends with 1 after the first
// thing that is not as it must be.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "events.skel.h"

struct event {
  __u64 number;
  __u32 length;
};

static __u64 expected_number = 1000;
static int heard;

static int hear(void *context, void *data, size_t size) {
  const struct event *event = data;
  CHECK(size >= sizeof *event);
  CHECK(event->number == expected_number++);
  CHECK(event->length == *(__u32 *)context);
  heard++;
  return 0;
}

// `length` counts the 14 bytes that BPF_PROG_TEST_RUN of the kernel takes off.
static void run(int program, __u32 length, int times) {
  char packet[256] = {0};
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = length);
  for (int i = 0; i < times; i++) CHECK(bpf_prog_test_run_opts(program, &options) == 0);
}

int main(void) {
  struct events_bpf *skeleton = events_bpf__open();
  CHECK(skeleton != NULL);
  skeleton->rodata->least_length = 60;
  CHECK(events_bpf__load(skeleton) == 0);
  const int program = bpf_program__fd(skeleton->progs.report);
  CHECK(skeleton->rodata->least_length == 60);
  CHECK(skeleton->data->next_number == 1000 && skeleton->bss->seen == 0);

  // What the program writes is seen here, and the other way round.
  run(program, 40, 5);
  CHECK(skeleton->bss->seen == 5);
  skeleton->bss->seen = 100;
  run(program, 40, 1);
  CHECK(skeleton->bss->seen == 101);

  __u32 length = 0;
  struct ring_buffer* ring =
      ring_buffer__new(bpf_map__fd(skeleton->maps.events), hear, &length, NULL);
  CHECK(ring != NULL);
  CHECK(ring_buffer__poll(ring, 0) == 0);
  LIBBPF_OPTS(bpf_test_run_opts, once, .data_in = (char[200]){0}, .data_size_in = 200);
  CHECK(bpf_prog_test_run_opts(program, &once) == 0);
  length = once.retval;  // the packet's length as the program sees it
  CHECK(length == 200 || length == 186);
  CHECK(ring_buffer__poll(ring, 10000) == 1 && heard == 1);
  run(program, 200, 50);
  CHECK(ring_buffer__consume(ring) == 50 && heard == 51);
  CHECK(ring_buffer__poll(ring, 0) == 0);

  // Who wants no wake-up gives none, and is read with the next that does.
  usleep(20000);
  skeleton->bss->submit_flags = BPF_RB_NO_WAKEUP;
  run(program, 200, 3);
  CHECK(ring_buffer__poll(ring, 200) == 0);
  skeleton->bss->submit_flags = BPF_RB_FORCE_WAKEUP;
  run(program, 200, 1);
  CHECK(ring_buffer__poll(ring, 10000) == 4 && heard == 55);
  skeleton->bss->submit_flags = 0;

  // Waits for what another process causes; the ring wraps around several times.
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 20; i++) {
      usleep(20000);
      run(program, 200, 100);
    }
    _exit(0);
  }
  while (heard < 2055) CHECK(ring_buffer__poll(ring, 10000) >= 0);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  CHECK(skeleton->data->next_number == 3055);
  ring_buffer__free(ring);
  events_bpf__destroy(skeleton);
  puts("all as expected");
  return 0;
}
