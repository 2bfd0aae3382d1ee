// Redirect targets as a program sees them: devmap and cpumap, arrays of values of which those that
// begin with 0 are not there. Shared by the binary and the JIT's bitcode; any thread.
#pragma once

#include <cstdint>

#include "bpf/maps/map_core.hpp"

namespace sluice::bpf {

[[gnu::always_inline]] inline void* target_lookup(const MapCore* map, const void* key) {
  uint32_t index;
  __builtin_memcpy(&index, key, sizeof index);
  if (index >= map->max_entries) return nullptr;
  uint8_t* value = map->values + uint64_t{index} * map->value_stride;
  return __atomic_load_n(reinterpret_cast<const uint32_t*>(value), __ATOMIC_ACQUIRE) != 0 ? value
                                                                                          : nullptr;
}

}  // namespace sluice::bpf
