// Arrays as a program sees them: index to address. Shared by the binary and the JIT's bitcode; any
// thread. A copy is whole per aligned 8 bytes, as in Linux.
#pragma once

#include <errno.h>
#include <linux/bpf.h>

#include <cstdint>

#include "bpf/maps/map_bytes.hpp"
#include "bpf/maps/map_core.hpp"
#include "bpf/maps/masked_index.hpp"
#include "bpf/maps/spin_lock_ops.hpp"

namespace sluice::bpf {

[[gnu::always_inline]] inline uint8_t* array_value(const MapCore* map, uint64_t index,
                                                   uint32_t slot) {
  return map->values + (index * map->slots + slot) * map->value_stride;
}

[[gnu::always_inline]] inline void* array_at(const MapCore* map, uint32_t index, uint32_t slot) {
  if (map->type == BPF_MAP_TYPE_ARRAY)
    return map->values + static_cast<uint64_t>(index) * map->value_stride;
  if (slot >= map->slots) return nullptr;
  return array_value(map, index, slot);
}

// Null: index or slot out of range. A plain array (one copy) serves every slot.
[[gnu::always_inline]] inline void* array_lookup(const MapCore* map, const void* key,
                                                 uint32_t slot) {
  uint32_t index;
  __builtin_memcpy(&index, key, 4);
  if (index >= map->max_entries) return nullptr;
  return array_at(map, masked_index(index, map->max_entries), slot);
}

// For programs whose loader is trusted (Hardening::mask_indices).
[[gnu::always_inline]] inline void* array_lookup_unmasked(const MapCore* map, const void* key,
                                                          uint32_t slot) {
  uint32_t index;
  __builtin_memcpy(&index, key, 4);
  return index >= map->max_entries ? nullptr : array_at(map, index, slot);
}

// 0, or what bpf(2) says of an update in this order; every element of an array exists.
[[gnu::always_inline]] inline long array_check_update(const MapCore* map, const void* key,
                                                      uint64_t flags) {
  uint32_t index;
  __builtin_memcpy(&index, key, 4);
  if (flags > BPF_EXIST) return -EINVAL;
  if (index >= map->max_entries) return -E2BIG;
  return flags == BPF_NOEXIST ? -EEXIST : 0;
}

inline long array_update(const MapCore* map, const void* key, const void* value, uint64_t flags,
                         uint32_t slot) {
  long error = array_check_update(map, key, flags);
  if (error != 0) return error;
  void* storage = array_lookup(map, key, slot);
  if (storage == nullptr) return -EINVAL;
  copy_value_in(map, storage, value);
  return 0;
}

}  // namespace sluice::bpf
