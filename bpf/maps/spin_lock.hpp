// The control thread's copies of values with a struct bpf_spin_lock. It may share a core with the
// worker that holds the lock, so it lets it run.
#pragma once

#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>

#include <cstring>

#include "bpf/maps/spin_lock_ops.hpp"

namespace sluice::bpf {

inline constexpr uint32_t kControlSpinRounds = 10000;

inline bool spin_lock_patiently(uint32_t* lock) {
  for (uint32_t i = 0; i < kControlSpinRounds; i++) {
    if (spin_try_lock(lock, 100)) return true;
    sched_yield();
  }
  return false;
}

// flags: with BPF_F_LOCK under the lock (EBUSY), else whole per word. The lock itself reads 0.
inline int read_value(const MapCore* map, const void* storage, void* value, uint64_t flags) {
  const bool locked = (flags & BPF_F_LOCK) != 0;
  auto* lock = map->spin_lock_offset < 0 ? nullptr : spin_lock_of(map, const_cast<void*>(storage));
  if (locked && !spin_lock_patiently(lock)) return -EBUSY;
  copy_out(value, storage, map->value_size);
  if (locked) spin_unlock(lock);
  if (lock != nullptr)
    std::memset(static_cast<uint8_t*>(value) + map->spin_lock_offset, 0, kSpinLockSize);
  return 0;
}

inline int write_value(const MapCore* map, void* storage, const void* value, uint64_t flags) {
  const bool locked = (flags & BPF_F_LOCK) != 0;
  if (locked && !spin_lock_patiently(spin_lock_of(map, storage))) return -EBUSY;
  copy_value_in(map, storage, value);
  if (locked) spin_unlock(spin_lock_of(map, storage));
  return 0;
}

}  // namespace sluice::bpf
