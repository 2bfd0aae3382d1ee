// Arrays of pointers as a program sees them: prog_array, array_of_maps, perf_event_array, xskmap.
// Shared by the binary and the JIT's bitcode; any thread. What a pointer leads to is freed only
// after a grace period.
#pragma once

#include <errno.h>
#include <linux/bpf.h>

#include <cstdint>

#include "bpf/maps/map_core.hpp"
#include "bpf/maps/masked_index.hpp"

namespace sluice::bpf {

// Null: index out of range, or nothing there.
[[gnu::always_inline]] inline const void* reference_at(const MapCore* map, uint32_t index) {
  if (index >= map->max_entries) return nullptr;
  return __atomic_load_n(
      reinterpret_cast<const void* const*>(map->values) + masked_index(index, map->max_entries),
      __ATOMIC_ACQUIRE);
}

// The inner map's MapCore, for array_of_maps.
[[gnu::always_inline]] inline void* reference_lookup(const MapCore* map, const void* key) {
  uint32_t index;
  __builtin_memcpy(&index, key, sizeof index);
  return const_cast<void*>(reference_at(map, index));
}

}  // namespace sluice::bpf
