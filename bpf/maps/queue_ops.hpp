// Queue and stack: a ring of values under one lock. Shared by the binary and the JIT's bitcode; any thread. A program tries
// for the lock a bounded number of times and gives up with EBUSY, as Linux does.
#pragma once

#include <errno.h>
#include <linux/bpf.h>

#include <cstdint>

#include "bpf/maps/map_bytes.hpp"
#include "bpf/maps/map_core.hpp"
#include "bpf/maps/spin_lock_ops.hpp"

namespace sluice::bpf {

inline constexpr uint32_t kQueueLockTries = 1000;

// At MapCore::table. The values are at MapCore::values, max_entries of them.
struct alignas(64) QueueTable {
  uint32_t lock;
  uint32_t oldest;  // index of; lock holder: rw
  uint32_t count;   // the same, read by all
  uint32_t unused;
  uint64_t full_errors;
};

inline QueueTable* queue_table(const MapCore* map) { return static_cast<QueueTable*>(map->table); }

inline uint8_t* queue_value(const MapCore* map, uint32_t place) {
  const uint64_t index = uint64_t{queue_table(map)->oldest} + place;
  const uint64_t wrapped = index < map->max_entries ? index : index - map->max_entries;
  return map->values + wrapped * map->value_stride;
}

inline long queue_check_push(uint64_t flags) { return flags == BPF_ANY || flags == BPF_EXIST ? 0 : -EINVAL; }

// Lock held. BPF_EXIST drops the oldest of a full one, of either kind. E2BIG.
inline long queue_put(const MapCore* map, const void* value, uint64_t flags) {
  QueueTable* table = queue_table(map);
  if (table->count == map->max_entries) {
    if (flags != BPF_EXIST) {
      __atomic_fetch_add(&table->full_errors, 1, __ATOMIC_RELAXED);
      return -E2BIG;
    }
    table->oldest = table->oldest + 1 < map->max_entries ? table->oldest + 1 : 0;
    __atomic_store_n(&table->count, table->count - 1, __ATOMIC_RELAXED);
  }
  copy_in(queue_value(map, table->count), value, map->value_size);
  __atomic_store_n(&table->count, table->count + 1, __ATOMIC_RELAXED);
  return 0;
}

// Lock held. ENOENT; the value is zeroed then.
inline long queue_get(const MapCore* map, void* value, bool remove) {
  QueueTable* table = queue_table(map);
  if (table->count == 0) {
    __builtin_memset(value, 0, map->value_size);
    return -ENOENT;
  }
  const bool stack = map->type == BPF_MAP_TYPE_STACK;
  copy_out(value, queue_value(map, stack ? table->count - 1 : 0), map->value_size);
  if (!remove) return 0;
  if (!stack) table->oldest = table->oldest + 1 < map->max_entries ? table->oldest + 1 : 0;
  __atomic_store_n(&table->count, table->count - 1, __ATOMIC_RELAXED);
  return 0;
}

// 0, EINVAL (flags), E2BIG (full), EBUSY.
inline long queue_push(const MapCore* map, const void* value, uint64_t flags) {
  if (long error = queue_check_push(flags); error != 0) return error;
  QueueTable* table = queue_table(map);
  if (!spin_try_lock(&table->lock, kQueueLockTries)) return -EBUSY;
  const long error = queue_put(map, value, flags);
  spin_unlock(&table->lock);
  return error;
}

// Pop or peek: 0, ENOENT, EBUSY; without a value it is zeroed.
inline long queue_take(const MapCore* map, void* value, bool remove) {
  QueueTable* table = queue_table(map);
  if (!spin_try_lock(&table->lock, kQueueLockTries)) {
    __builtin_memset(value, 0, map->value_size);
    return -EBUSY;
  }
  const long error = queue_get(map, value, remove);
  spin_unlock(&table->lock);
  return error;
}

}  // namespace sluice::bpf
