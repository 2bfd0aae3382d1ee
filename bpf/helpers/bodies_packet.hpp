// Bodies that read or write the packet and its checksums. Shared with the JIT's bitcode.
#pragma once

#include <linux/bpf.h>

#include <cerrno>
#include <cstdint>

#include "bpf/progs/packet_context.hpp"

namespace sluice::bpf {

inline constexpr uint32_t kNetworkHeader = 14;  // behind the Ethernet header, tags or not

// Copies packet bytes; out of range: -EFAULT and the buffer zeroed, as in Linux.
[[gnu::always_inline]] inline uint64_t copy_packet_bytes(const PacketContext* ctx, uint32_t base,
                                                         uint64_t offset, uint64_t to,
                                                         uint64_t size) {
  auto* out = reinterpret_cast<uint8_t*>(to);
  const auto from = static_cast<uint32_t>(offset);
  const auto count = static_cast<uint32_t>(size);
  if (from > 0x7fffffffu || uint64_t{base} + from + count > ctx->captured) {
    __builtin_memset(out, 0, count);
    return static_cast<uint64_t>(-EFAULT);
  }
  __builtin_memcpy(out, ctx->data + base + from, count);
  return 0;
}

// Adds 4-byte words with end-around carry (RFC 1071), the last one filled up with zeros; a ones'
// complement sum, not yet folded to 16 bits.
inline uint32_t add_words(uint64_t from, uint32_t size, uint32_t start) {
  uint64_t sum = start;
  const auto* bytes = reinterpret_cast<const uint8_t*>(from);
  uint32_t at = 0;
  for (; at + 4 <= size; at += 4) {
    uint32_t word;
    __builtin_memcpy(&word, bytes + at, 4);
    sum += word;
  }
  for (uint32_t shift = 0; at < size; at++, shift += 8) sum += uint64_t{bytes[at]} << shift;
  sum = (sum & 0xffffffffu) + (sum >> 32);
  return static_cast<uint32_t>((sum & 0xffffffffu) + (sum >> 32));
}

inline uint32_t fold_sum(uint32_t sum) {
  sum = (sum & 0xffffu) + (sum >> 16);
  return (sum & 0xffffu) + (sum >> 16);
}

}  // namespace sluice::bpf

extern "C" {

inline uint64_t sluice_helper_skb_load_bytes(sluice::bpf::PacketContext* ctx, uint64_t,
                                             uint64_t offset, uint64_t to, uint64_t size,
                                             uint64_t) {
  return sluice::bpf::copy_packet_bytes(ctx, 0, offset, to, size);
}

// start: BPF_HDR_START_MAC or BPF_HDR_START_NET; another is -EFAULT too.
inline uint64_t sluice_helper_skb_load_bytes_relative(sluice::bpf::PacketContext* ctx, uint64_t,
                                                      uint64_t offset, uint64_t to, uint64_t size,
                                                      uint64_t start) {
  using namespace sluice::bpf;
  const auto header = static_cast<uint32_t>(start);
  if (header == BPF_HDR_START_NET) return copy_packet_bytes(ctx, kNetworkHeader, offset, to, size);
  return copy_packet_bytes(ctx, 0, header == BPF_HDR_START_MAC ? offset : UINT32_MAX, to, size);
}

// The checksum `seed` after `from` was replaced by `to`, folded to 16 bits; either may be missing.
inline uint64_t sluice_helper_csum_diff(sluice::bpf::PacketContext*, uint64_t from,
                                        uint64_t from_size64, uint64_t to, uint64_t to_size64,
                                        uint64_t seed64) {
  using namespace sluice::bpf;
  const auto from_size = static_cast<uint32_t>(from_size64);
  const auto to_size = static_cast<uint32_t>(to_size64);
  const auto seed = static_cast<uint32_t>(seed64);
  if (to_size == 0) return fold_sum(from_size == 0 ? seed : ~add_words(from, from_size, ~seed));
  uint64_t sum = add_words(to, to_size, seed);
  if (from_size != 0) sum += static_cast<uint32_t>(~add_words(from, from_size, 0));
  return fold_sum(static_cast<uint32_t>((sum & 0xffffffffu) + (sum >> 32)));
}

}  // extern "C"
