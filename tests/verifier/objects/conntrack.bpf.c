// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// A TCP state machine: connections in both directions, windows, timeouts by state.
#include "common.h"

enum state {
  S_NONE,
  S_SYN_SENT,
  S_SYN_RECEIVED,
  S_ESTABLISHED,
  S_FIN_WAIT,
  S_CLOSE_WAIT,
  S_TIME_WAIT,
  S_CLOSED
};
struct side {
  __u32 end;
  __u32 max_end;
  __u16 window;
  __u8 scale;
  __u8 flags;
};
struct connection {
  __u64 last_ns;
  struct side sides[2];
  __u8 state;
  __u8 pad[7];
  __u64 packets[2];
};
MAP(BPF_MAP_TYPE_LRU_HASH, connections, struct flow_key, struct connection, 131072);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, transitions, __u32, __u64, 64);
static const __u64 timeouts_s[8] = {0, 30, 60, 432000, 120, 60, 120, 10};

static __always_inline int key_of(struct iphdr *ip, struct tcphdr *tcp, struct flow_key *key) {
  int forward = ip->saddr < ip->daddr || (ip->saddr == ip->daddr && tcp->source < tcp->dest);
  key->source[0] = forward ? ip->saddr : ip->daddr;
  key->destination[0] = forward ? ip->daddr : ip->saddr;
  key->source_port = forward ? tcp->source : tcp->dest;
  key->destination_port = forward ? tcp->dest : tcp->source;
  key->protocol = IPPROTO_TCP;
  return !forward;
}

static __always_inline __u8 next_state(__u8 state, struct tcphdr *tcp) {
  if (tcp->rst) return S_CLOSED;
  switch (state) {
    case S_NONE: return tcp->syn && !tcp->ack ? S_SYN_SENT : S_NONE;
    case S_SYN_SENT: return tcp->syn && tcp->ack ? S_SYN_RECEIVED : S_SYN_SENT;
    case S_SYN_RECEIVED: return tcp->ack && !tcp->syn ? S_ESTABLISHED : S_SYN_RECEIVED;
    case S_ESTABLISHED: return tcp->fin ? S_FIN_WAIT : S_ESTABLISHED;
    case S_FIN_WAIT: return tcp->fin ? S_TIME_WAIT : tcp->ack ? S_CLOSE_WAIT : S_FIN_WAIT;
    case S_CLOSE_WAIT: return tcp->fin ? S_TIME_WAIT : S_CLOSE_WAIT;
    case S_TIME_WAIT: return tcp->ack ? S_CLOSED : S_TIME_WAIT;
    default: return S_CLOSED;
  }
}

static __always_inline __u8 window_scale(struct tcphdr *tcp, void *data_end) {
  __u8 *at = (void *)(tcp + 1);
  __u32 left = tcp->doff * 4 - sizeof *tcp;
  for (int i = 0; i < 10; i++) {
    if (left < 3 || (void *)(at + 3) > data_end) return 0;
    if (at[0] == 0) return 0;
    if (at[0] == 1) {
      at++;
      left--;
      continue;
    }
    if (at[0] == 3) return at[2] > 14 ? 14 : at[2];
    __u8 length = at[1];
    if (length < 2 || length > 40 || length > left) return 0;
    at += length;
    left -= length;
  }
  return 0;
}

SEC("tc")
int track(struct __sk_buff *skb) {
  void *data = (void *)(long)skb->data;
  void *data_end = (void *)(long)skb->data_end;
  struct ethhdr *eth = data;
  struct iphdr *ip = (void *)(eth + 1);
  if ((void *)(ip + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP) ||
      ip->protocol != IPPROTO_TCP) {
    return TC_ACT_OK;
  }
  __u32 header = ip->ihl * 4;
  if (header < sizeof *ip) return TC_ACT_SHOT;
  struct tcphdr *tcp = (void *)ip + header;
  if ((void *)(tcp + 1) > data_end) return TC_ACT_SHOT;
  struct flow_key key = {};
  int side = key_of(ip, tcp, &key) & 1;
  __u64 now = bpf_ktime_get_ns();
  struct connection *known = bpf_map_lookup_elem(&connections, &key);
  if (!known) {
    if (!tcp->syn || tcp->ack) return TC_ACT_SHOT;
    struct connection fresh = {.last_ns = now, .state = S_SYN_SENT};
    struct side *mine = &fresh.sides[side];
    mine->end = bpf_ntohl(tcp->seq) + 1;
    mine->window = bpf_ntohs(tcp->window);
    mine->scale = window_scale(tcp, data_end);
    fresh.packets[side] = 1;
    bpf_map_update_elem(&connections, &key, &fresh, BPF_NOEXIST);
    return TC_ACT_OK;
  }
  __u8 state = known->state & 7;
  if (now - known->last_ns > timeouts_s[state] * 1000000000ull) {
    bpf_map_delete_elem(&connections, &key);
    return TC_ACT_SHOT;
  }
  __u32 payload = bpf_ntohs(ip->tot_len) - header - tcp->doff * 4;
  __u32 end = bpf_ntohl(tcp->seq) + payload + tcp->syn + tcp->fin;
  struct side *mine = &known->sides[side];
  struct side *other = &known->sides[!side];
  __u32 window = (__u32)other->window << (other->scale & 15);
  if (state == S_ESTABLISHED && (__s32)(end - (other->max_end + window)) > 0) return TC_ACT_SHOT;
  if ((__s32)(end - mine->end) > 0) mine->end = end;
  __u32 acknowledged = bpf_ntohl(tcp->ack_seq);
  if ((__s32)(acknowledged - mine->max_end) > 0) mine->max_end = acknowledged;
  mine->window = bpf_ntohs(tcp->window);
  __u8 next = next_state(state, tcp);
  if (next != state) {
    __u32 index = (state << 3 | next) & 63;
    __u64 *count = bpf_map_lookup_elem(&transitions, &index);
    if (count) *count += 1;
    known->state = next;
  }
  known->last_ns = now;
  known->packets[side]++;
  return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
