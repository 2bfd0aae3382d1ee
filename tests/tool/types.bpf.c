// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// Maps with values of every kind that BTF knows, and programs to list and dump: input of the
// command line's tests.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum color { RED = 1, GREEN = 2 };
typedef int number;
struct bits { int x; __u8 y : 3, z : 5; long long w : 40; int sb : 7; };
struct numbers {
  char c; unsigned char uc; short s; unsigned short us;
  int i; unsigned int u; long l; unsigned long ul;
};
union both { int i; char c[4]; };
struct value {
  __u64 packets;
  struct bits bits;
  struct numbers numbers[2];
  enum color c, c2;
  char text[8], no_text[2];
  unsigned char bytes[4];
  _Bool ok, no;
  void *p;
  struct { int a1; };
  union both u;
  unsigned __int128 big;
  const volatile number ci;
  int matrix[2][2];
  int none[0];
};
struct key { __u32 a; unsigned short b; char name[6]; };

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __type(key, struct key);
  __type(value, struct value);
  __uint(max_entries, 8);
} flows SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, int);
  __type(value, char);
  __uint(max_entries, 3);
} chars SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
  __type(key, int);
  __type(value, struct numbers);
  __uint(max_entries, 2);
} per_cpu SEC(".maps");

int global_number = -7;
const volatile int constant = 5;
int zero_number;
char hello[] = "hi";
struct bits global_bits = {1, 2, 3, 4, 5};
enum color global_color = RED;
static int counter = 4;

static __attribute__((noinline)) int thrice(int x) { return x * 3 + zero_number; }

SEC("socket") int filter(struct __sk_buff *skb) {
  int key = 1;
  char *value = bpf_map_lookup_elem(&chars, &key);
  if (value) (*value)++;
  counter++;
  return thrice(skb->len) + constant + global_color;
}
SEC("socket") int second(struct __sk_buff *skb) { return skb->protocol; }
SEC("tc") int classify(struct __sk_buff *skb) { return -1; }
SEC("tc") int classify_too(struct __sk_buff *skb) { return -1; }
SEC("xdp") int pass(struct xdp_md *xdp) { return XDP_PASS; }
char _license[] SEC("license") = "Dual BSD/GPL";
