// A program that sends the same 20 bytes through a perf event array and a ring buffer. What it
// returns says whether the first has a reader.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __uint(key_size, 4);
  __uint(value_size, 4);
} cli_events SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } cli_ring SEC(".maps");

SEC("tc") int emit(struct __sk_buff *skb) {
  char text[20] = "sent to user space";
  bpf_ringbuf_output(&cli_ring, text, sizeof text, 0);
  return bpf_perf_event_output(skb, &cli_events, BPF_F_CURRENT_CPU, text, sizeof text) == 0;
}
char _license[] SEC("license") = "Dual BSD/GPL";
