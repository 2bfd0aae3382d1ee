// Bloom filter: bits at MapCore::values, MapCore::bucket_mask + 1 of them, MapCore::hashes tested a
// value. Shared by the binary and the JIT's bitcode; any thread. Which values are false positives
// differs from Linux, whose hash is another.
#pragma once

#include <errno.h>
#include <linux/bpf.h>

#include <cstdint>

#include "bpf/maps/map_bytes.hpp"
#include "bpf/maps/map_core.hpp"

namespace sluice::bpf {

// Bits of one hash by the second: Kirsch and Mitzenmacher, "Less hashing, same performance" (2008).
struct BloomBits {
  uint64_t at, step;

  [[gnu::always_inline]] BloomBits(const MapCore* map, const void* value) {
    at = hash_bytes(map->hash_key, value, map->value_size);
    step = multiply_fold(at, 0x9e3779b97f4a7c15ull) | 1;
  }
  [[gnu::always_inline]] uint64_t next(const MapCore* map) {
    at += step;
    return (at >> 16) & map->bucket_mask;
  }
};

inline uint64_t* bloom_word(const MapCore* map, uint64_t bit) {
  return reinterpret_cast<uint64_t*>(map->values) + bit / 64;
}

// EINVAL: flags.
inline long bloom_push(const MapCore* map, const void* value, uint64_t flags) {
  if (flags != BPF_ANY) return -EINVAL;
  BloomBits bits(map, value);
  for (uint32_t i = 0; i < map->hashes; i++) {
    const uint64_t bit = bits.next(map);
    const uint64_t mask = 1ull << (bit % 64);
    // Most bits of a filter in use are set: a load leaves the cache line shared.
    if ((__atomic_load_n(bloom_word(map, bit), __ATOMIC_RELAXED) & mask) != 0) continue;
    __atomic_fetch_or(bloom_word(map, bit), mask, __ATOMIC_RELAXED);
  }
  return 0;
}

// 0: perhaps in it; ENOENT: certainly not.
inline long bloom_peek(const MapCore* map, const void* value) {
  BloomBits bits(map, value);
  for (uint32_t i = 0; i < map->hashes; i++) {
    const uint64_t bit = bits.next(map);
    if ((__atomic_load_n(bloom_word(map, bit), __ATOMIC_RELAXED) >> (bit % 64) & 1) == 0)
      return -ENOENT;
  }
  return 0;
}

}  // namespace sluice::bpf
