// Reading struct xdp_md's fields on a PacketContext. Shared with the JIT's bitcode.
#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>

#include "bpf/progs/packet_context.hpp"

namespace sluice::bpf {

// The verifier has allowed `offset`. data, data_end and data_meta are addresses.
inline uint64_t xdp_load(const PacketContext* ctx, uint32_t offset) {
  const auto data = reinterpret_cast<uint64_t>(ctx->data);
  switch (offset) {
    case offsetof(xdp_md, data): return data;
    case offsetof(xdp_md, data_meta): return reinterpret_cast<uint64_t>(ctx->meta);
    case offsetof(xdp_md, data_end): return data + ctx->captured;
    case offsetof(xdp_md, ingress_ifindex): return ctx->env->ingress_ifindex;
    case offsetof(xdp_md, rx_queue_index): return ctx->env->rx_queue;
    default: return 0;  // egress_ifindex
  }
}

}  // namespace sluice::bpf
