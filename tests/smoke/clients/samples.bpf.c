// Reports each packet over a perf event array, with its first bytes behind the record.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct sample {
  __u64 number;
  __u32 length;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __uint(key_size, 4);
  __uint(value_size, 4);
} samples SEC(".maps");

__u64 next_number = 1000;
long last_error = 0;

SEC("socket")
int report(struct __sk_buff *skb) {
  struct sample sample = {.number = next_number++, .length = skb->len};
  last_error =
      bpf_perf_event_output(skb, &samples, BPF_F_CURRENT_CPU | 14ull << 32, &sample, sizeof sample);
  return skb->len;
}

char LICENSE[] SEC("license") = "GPL";
