// A program's map operations, for every map type. The interpreter calls them with the map's core;
// the JIT inlines them with a constant copy of it, and everything that depends on the shape folds.
// Worker threads; they never wait. `slot` chooses the copy in per-CPU kinds; `writer` is the
// worker's index, or kNoWorker.
#pragma once

#include <errno.h>
#include <linux/bpf.h>

#include <cstdint>

#include "bpf/maps/array_ops.hpp"
#include "bpf/maps/bloom_ops.hpp"
#include "bpf/maps/hash_ops.hpp"
#include "bpf/maps/lpm_ops.hpp"
#include "bpf/maps/map_core.hpp"
#include "bpf/maps/perf_ops.hpp"
#include "bpf/maps/queue_ops.hpp"
#include "bpf/maps/reference_ops.hpp"
#include "bpf/maps/ring_ops.hpp"
#include "bpf/maps/target_ops.hpp"

namespace sluice::bpf {

// The core of the inner map that a hash_of_maps has under the key.
[[gnu::always_inline]] inline void* hash_reference_lookup(const MapCore* map, const void* key) {
  void* value = hash_lookup(map, key_for(map, key), 0);
  return value == nullptr ? nullptr : __atomic_load_n(static_cast<void**>(value), __ATOMIC_ACQUIRE);
}

// The value's address, 8-aligned and usable as long as the map lives; null if there is no such
// element. Of a map-in-map: the inner map's MapCore.
[[gnu::always_inline]] inline void* map_lookup_elem(const MapCore* map, const void* key,
                                                    uint32_t slot) {
  switch (map->type) {
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_PERCPU_ARRAY: return array_lookup(map, key, slot);
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_LRU_HASH:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH:
    case BPF_MAP_TYPE_DEVMAP_HASH: return hash_lookup(map, key_for(map, key), slot);
    case BPF_MAP_TYPE_LPM_TRIE: return lpm_lookup(map, key);
    case BPF_MAP_TYPE_ARRAY_OF_MAPS: return reference_lookup(map, key);
    case BPF_MAP_TYPE_HASH_OF_MAPS: return hash_reference_lookup(map, key);
    case BPF_MAP_TYPE_DEVMAP:
    case BPF_MAP_TYPE_CPUMAP: return target_lookup(map, key);
    default: return nullptr;
  }
}

// 0 or a negative errno: EINVAL (flags), EEXIST, ENOENT, E2BIG (full, or index out of range), EBUSY
// (bucket taken); LPM: ENOSPC (full); LRU: ENOMEM (no element could be evicted).
inline long map_update_elem(const MapCore* map, const void* key, const void* value, uint64_t flags,
                            uint32_t slot, uint32_t writer = kNoWorker) {
  HashKeyCopy copy;
  switch (map->type) {
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_PERCPU_ARRAY: return array_update(map, key, value, flags, slot);
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_LRU_HASH:
      return hash_update(map, copy.take(key_for(map, key)), value, flags, writer);
    case BPF_MAP_TYPE_LPM_TRIE: return lpm_update(map, key, value, flags);
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH:
      return hash_update_per_cpu(map, copy.take(key_for(map, key)), value, flags, slot, writer);
    default: return -EOPNOTSUPP;
  }
}

// 0 or a negative errno: ENOENT, EBUSY; EINVAL on arrays.
inline long map_delete_elem(const MapCore* map, const void* key, uint32_t writer = kNoWorker) {
  switch (map->type) {
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_PERCPU_ARRAY: return -EINVAL;
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_LRU_HASH:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH: return hash_delete(map, key_for(map, key), writer);
    case BPF_MAP_TYPE_LPM_TRIE: return lpm_delete(map, key);
    default: return -EOPNOTSUPP;
  }
}

// 0 or a negative errno: EINVAL (flags), E2BIG (full), EBUSY.
inline long map_push_elem(const MapCore* map, const void* value, uint64_t flags) {
  switch (map->type) {
    case BPF_MAP_TYPE_QUEUE:
    case BPF_MAP_TYPE_STACK: return queue_push(map, value, flags);
    case BPF_MAP_TYPE_BLOOM_FILTER: return bloom_push(map, value, flags);
    default: return -EOPNOTSUPP;
  }
}

// 0 or a negative errno: ENOENT (empty; the value is zeroed), EBUSY.
inline long map_pop_elem(const MapCore* map, void* value) {
  switch (map->type) {
    case BPF_MAP_TYPE_QUEUE:
    case BPF_MAP_TYPE_STACK: return queue_take(map, value, true);
    default: return -EOPNOTSUPP;
  }
}

// As pop; a bloom filter is asked for the value, ENOENT: it was never pushed.
inline long map_peek_elem(const MapCore* map, void* value) {
  switch (map->type) {
    case BPF_MAP_TYPE_QUEUE:
    case BPF_MAP_TYPE_STACK: return queue_take(map, value, false);
    case BPF_MAP_TYPE_BLOOM_FILTER: return bloom_peek(map, value);
    default: return -EOPNOTSUPP;
  }
}

}  // namespace sluice::bpf
