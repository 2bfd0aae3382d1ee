// Counts packets in a global variable and reports each, above a length that the loader sets, over a
// ring buffer.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct event {
  __u64 number;
  __u32 length;
};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 16384);
} events SEC(".maps");

const volatile __u32 least_length = 0;
__u64 seen = 0;
__u64 submit_flags = 0;
__u64 next_number = 1000;

SEC("socket")
int report(struct __sk_buff *skb) {
  seen++;
  if (skb->len < least_length) return 0;
  struct event *event = bpf_ringbuf_reserve(&events, sizeof *event, 0);
  if (!event) return 0;
  event->number = next_number++;
  event->length = skb->len;
  bpf_ringbuf_submit(event, submit_flags);
  return skb->len;
}

char LICENSE[] SEC("license") = "GPL";
