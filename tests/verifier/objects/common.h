// Headers, as a program of the field has them, for the objects in this folder.
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAP(kind, map_name, key_type, value_type, entries) \
  struct {                                                 \
    __uint(type, kind);                                    \
    __type(key, key_type);                                 \
    __type(value, value_type);                             \
    __uint(max_entries, entries);                          \
  } map_name SEC(".maps")

struct vlan_header {
  __be16 tci;
  __be16 proto;
};

struct flow_key {
  __u32 source[4];
  __u32 destination[4];
  __u16 source_port;
  __u16 destination_port;
  __u8 protocol;
  __u8 pad[3];
};

static __always_inline __u32 rotate(__u32 value, __u32 by) {
  return (value << by) | (value >> (32 - by));
}

// Jenkins' lookup3, final mixing.
static __always_inline __u32 mix3(__u32 a, __u32 b, __u32 c) {
  c ^= b; c -= rotate(b, 14);
  a ^= c; a -= rotate(c, 11);
  b ^= a; b -= rotate(a, 25);
  c ^= b; c -= rotate(b, 16);
  a ^= c; a -= rotate(c, 4);
  b ^= a; b -= rotate(a, 14);
  c ^= b; c -= rotate(b, 24);
  return c;
}

static __always_inline __u16 fold_checksum(__u64 sum) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  }
  return ~sum;
}
