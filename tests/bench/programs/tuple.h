// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
// The 5-tuple of an untagged IPv4 TCP or UDP packet.
#pragma once

#include "packet.h"

struct tuple {
  __be32 source;
  __be32 destination;
  __be16 source_port;
  __be16 destination_port;
  __u32 protocol;
};

static __always_inline int read_tuple(struct __sk_buff *skb, struct tuple *key) {
  __u16 type;
  __u8 protocol;
  if (load_u16(skb, ETH_TYPE_OFFSET, &type) || type != ETH_IPV4) return -1;
  __u32 offset = transport_offset(skb, &protocol);
  if (offset == 0 || (protocol != IP_TCP && protocol != IP_UDP)) return -1;
  if (bpf_skb_load_bytes(skb, ETH_LENGTH + 12, &key->source, 8)) return -1;
  if (bpf_skb_load_bytes(skb, offset, &key->source_port, 4)) return -1;
  key->protocol = protocol;
  return 0;
}
