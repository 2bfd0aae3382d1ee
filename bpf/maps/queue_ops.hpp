// Queue and stack: a ring of values under one lock. Shared by the binary and the JIT's bitcode; any
// thread. A program tries for the lock a bounded number of times and gives up with EBUSY, as Linux
// does.
#pragma once

#include <errno.h>
#include <linux/bpf.h>

#include <cstdint>

#include "bpf/maps/map_bytes.hpp"
#include "bpf/maps/map_core.hpp"
#include "bpf/maps/spin_lock_ops.hpp"

namespace sluice::bpf {

inline constexpr uint32_t kQueueLockTries = 1000;

// At MapCore::table. The values are at MapCore::values, max_entries and one more: a value is in its
// place before the one store that tells of it, so that a queue that outlives the process has it
// whole or not at all.
struct alignas(64) QueueTable {
  uint32_t lock;
  uint32_t unused;
  // index of the oldest, and in the upper half how many there are; lock holder: rw, others: ro
  uint64_t state;
  uint64_t full_errors;
};

inline QueueTable* queue_table(const MapCore* map) { return static_cast<QueueTable*>(map->table); }
inline uint32_t queue_count(const MapCore* map) {
  return static_cast<uint32_t>(__atomic_load_n(&queue_table(map)->state, __ATOMIC_RELAXED) >> 32);
}

struct QueueState {
  uint32_t oldest, count;
};
inline QueueState queue_state(const MapCore* map) {
  const uint64_t state = queue_table(map)->state;
  return {static_cast<uint32_t>(state), static_cast<uint32_t>(state >> 32)};
}
inline void store_queue_state(const MapCore* map, QueueState state) {
  __atomic_store_n(&queue_table(map)->state, uint64_t{state.count} << 32 | state.oldest,
                   __ATOMIC_RELEASE);
}
inline uint8_t* queue_value(const MapCore* map, QueueState state, uint32_t place) {
  const uint64_t index = uint64_t{state.oldest} + place;
  return map->values +
         (index <= map->max_entries ? index : index - map->max_entries - 1) * map->value_stride;
}
inline uint32_t queue_after(const MapCore* map, uint32_t index) {
  return index < map->max_entries ? index + 1 : 0;
}

inline long queue_check_push(uint64_t flags) {
  return flags == BPF_ANY || flags == BPF_EXIST ? 0 : -EINVAL;
}

// Lock held. BPF_EXIST drops the oldest of a full one, of either kind. E2BIG.
inline long queue_put(const MapCore* map, const void* value, uint64_t flags) {
  QueueState state = queue_state(map);
  const bool full = state.count == map->max_entries;
  if (full && flags != BPF_EXIST) {
    __atomic_fetch_add(&queue_table(map)->full_errors, 1, __ATOMIC_RELAXED);
    return -E2BIG;
  }
  copy_in(queue_value(map, state, state.count), value, map->value_size);
  if (full) {
    state.oldest = queue_after(map, state.oldest);
  } else {
    state.count++;
  }
  store_queue_state(map, state);
  return 0;
}

// Lock held. ENOENT; the value is zeroed then.
inline long queue_get(const MapCore* map, void* value, bool remove) {
  QueueState state = queue_state(map);
  if (state.count == 0) {
    __builtin_memset(value, 0, map->value_size);
    return -ENOENT;
  }
  const bool stack = map->type == BPF_MAP_TYPE_STACK;
  copy_out(value, queue_value(map, state, stack ? state.count - 1 : 0), map->value_size);
  if (!remove) return 0;
  if (!stack) state.oldest = queue_after(map, state.oldest);
  state.count--;
  store_queue_state(map, state);
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
