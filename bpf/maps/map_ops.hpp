// A program's map operations, for every map type. The interpreter calls them with the map's core; the JIT inlines them
// with a constant copy of it, and everything that depends on the shape folds. Worker threads; they never wait. `slot` is
// the worker's index, which chooses the copy in per-CPU kinds.
#pragma once

#include <errno.h>
#include <linux/bpf.h>

#include <cstdint>

#include "bpf/maps/array_ops.hpp"
#include "bpf/maps/hash_ops.hpp"
#include "bpf/maps/map_core.hpp"

namespace sluice::bpf {

// The value's address, 8-aligned and usable as long as the map lives; null if there is no such element.
[[gnu::always_inline]] inline void* map_lookup_elem(const MapCore* map, const void* key, uint32_t slot) {
  switch (map->type) {
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_PERCPU_ARRAY: return array_lookup(map, key, slot);
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_PERCPU_HASH: return hash_lookup(map, key, slot);
    default: return nullptr;
  }
}

// 0 or a negative errno: EINVAL (flags), EEXIST, ENOENT, E2BIG (full, or index out of range), EBUSY (bucket taken).
inline long map_update_elem(const MapCore* map, const void* key, const void* value, uint64_t flags, uint32_t slot) {
  switch (map->type) {
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_PERCPU_ARRAY: return array_update(map, key, value, flags, slot);
    case BPF_MAP_TYPE_HASH: return hash_update(map, key, value, flags);
    case BPF_MAP_TYPE_PERCPU_HASH: return hash_update_per_cpu(map, key, value, flags, slot);
    default: return -EOPNOTSUPP;
  }
}

// 0 or a negative errno: ENOENT, EBUSY; EINVAL on arrays.
inline long map_delete_elem(const MapCore* map, const void* key) {
  switch (map->type) {
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_PERCPU_ARRAY: return -EINVAL;
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_PERCPU_HASH: return hash_delete(map, key);
    default: return -EOPNOTSUPP;
  }
}

}  // namespace sluice::bpf
