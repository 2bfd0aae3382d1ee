// A static program without libbpf: bpf(2) by the bare system call, from threads, after fork and
// after exec. Prints what went wrong and ends with 1.
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long bpf(int cmd, union bpf_attr* attr, unsigned size) {
  return syscall(SYS_bpf, cmd, attr, size);
}

static int create(const char *name, unsigned entries) {
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.map_type = BPF_MAP_TYPE_HASH;
  attr.key_size = attr.value_size = 8;
  attr.max_entries = entries;
  snprintf(attr.map_name, sizeof attr.map_name, "%s", name);
  return (int)bpf(BPF_MAP_CREATE, &attr, sizeof attr);
}

static long element(int cmd, int map, const void *key, void *value) {
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.map_fd = (unsigned)map;
  attr.key = (unsigned long)key;
  attr.value = (unsigned long)value;
  return bpf(cmd, &attr, sizeof attr);
}

static int failures;
#define CHECK(condition)                                                           \
  do {                                                                             \
    if (!(condition)) {                                                            \
      fprintf(stderr, "line %d: %s (errno %d: %s)\n", __LINE__, #condition, errno, \
              strerror(errno));                                                    \
      failures++;                                                                  \
    }                                                                              \
  } while (0)

static int shared_map;

static void *fill(void *argument) {
  const unsigned long first = (unsigned long)argument * 100;
  for (unsigned long key = first; key < first + 100; key++) {
    unsigned long value = key * 3;
    if (element(BPF_MAP_UPDATE_ELEM, shared_map, &key, &value) != 0) return (void *)1;
  }
  return NULL;
}

static void threads_work(void) {
  pthread_t threads[4];
  for (long i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, fill, (void *)i) == 0);
  for (int i = 0; i < 4; i++) {
    void *result;
    CHECK(pthread_join(threads[i], &result) == 0 && result == NULL);
  }
  for (unsigned long key = 0; key < 400; key++) {
    unsigned long value = 0;
    CHECK(element(BPF_MAP_LOOKUP_ELEM, shared_map, &key, &value) == 0 && value == key * 3);
  }
}

static void child_works(void) {
  unsigned long key = 7777, value = 5;
  const pid_t child = fork();
  if (child == 0) _exit(element(BPF_MAP_UPDATE_ELEM, shared_map, &key, &value) == 0 ? 0 : 1);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  value = 0;
  CHECK(element(BPF_MAP_LOOKUP_ELEM, shared_map, &key, &value) == 0 && value == 5);
}

static void errors_are_the_kernels(void) {
  unsigned long key = 123456, value = 0;
  CHECK(element(BPF_MAP_LOOKUP_ELEM, shared_map, &key, &value) == -1 && errno == ENOENT);
  CHECK(element(BPF_MAP_LOOKUP_ELEM, 9999, &key, &value) == -1 && errno == EBADF);
  CHECK(element(BPF_MAP_LOOKUP_ELEM, 0, &key, &value) == -1 && errno == EINVAL);
  CHECK(element(BPF_MAP_LOOKUP_ELEM, shared_map, (void *)8, &value) == -1 && errno == EFAULT);
  CHECK(bpf(BPF_MAP_CREATE, NULL, 64) == -1 && errno == EFAULT);
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  CHECK(bpf(4711, &attr, 64) == -1 && errno == EINVAL);
  CHECK((fcntl(shared_map, F_GETFD) & FD_CLOEXEC) != 0);
}

// usage: raw_bpf NAME [exec | hold]; exec: again in a new image; hold: waits for the end of
// standard input, then tries.
int main(int argc, char **argv) {
  if (argc > 2 && strcmp(argv[2], "exec") == 0) {
    execl(argv[0], argv[0], argv[1], (char *)NULL);
    return 1;
  }
  shared_map = create(argv[1], 1000);
  CHECK(shared_map >= 0);
  if (argc > 2 && strcmp(argv[2], "hold") == 0) {
    puts("holding");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    unsigned long key = 1, value = 1;
    if (element(BPF_MAP_UPDATE_ELEM, shared_map, &key, &value) == 0) return 0;
    printf("errno %d\n", errno);
    return 3;
  }
  threads_work();
  child_works();
  errors_are_the_kernels();
  return failures == 0 ? 0 : 1;
}
