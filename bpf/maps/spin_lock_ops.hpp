// struct bpf_spin_lock in a map's value, and copying a value around it. Shared by the binary and
// the JIT's bitcode.
//
// Nobody waits without bound. A program's holder cannot be long, since the verifier lets it neither
// call nor loop far; if it is off its core for longer than kSpinTries, a program takes the lock
// over: the value then may be mixed of both, as it would be without a lock, but nothing else can go
// wrong. The control thread gives up with EBUSY instead.
#pragma once

#include <cstdint>

#include "bpf/maps/map_bytes.hpp"
#include "bpf/maps/map_core.hpp"

namespace sluice::bpf {

inline constexpr uint32_t kSpinTries = 1u << 20;  // about 40 ms
inline constexpr uint32_t kSpinLockSize = 4;

inline bool spin_try_lock(uint32_t* lock, uint32_t tries) {
  for (uint32_t i = 0; i < tries; i++) {
    uint32_t unlocked = 0;
    if (__atomic_compare_exchange_n(lock, &unlocked, 1u, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
      return true;
    __builtin_ia32_pause();
  }
  return false;
}

// bpf_spin_lock and bpf_spin_unlock.
inline void spin_lock(uint32_t* lock) { (void)spin_try_lock(lock, kSpinTries); }
inline void spin_unlock(uint32_t* lock) { __atomic_store_n(lock, 0u, __ATOMIC_RELEASE); }

[[gnu::always_inline]] inline uint32_t* spin_lock_of(const MapCore* map, void* value) {
  return reinterpret_cast<uint32_t*>(static_cast<uint8_t*>(value) + map->spin_lock_offset);
}

// As copy_in, but the lock's four bytes stay what they are: its word is written by halves.
inline void copy_in_around_lock(const MapCore* map, void* storage, const void* from) {
  const auto lock = static_cast<uint32_t>(map->spin_lock_offset);
  for (uint32_t at = 0; at < map->value_size; at += 8) {
    const uint64_t word = load_bytes(from, map->value_size, at);
    if (lock / 8 != at / 8) {
      store_word(storage, at, word);
      continue;
    }
    const uint32_t other = lock % 8 == 0 ? 4 : 0;
    __atomic_store_n(reinterpret_cast<uint32_t*>(static_cast<uint8_t*>(storage) + at + other),
                     static_cast<uint32_t>(word >> (8 * other)), __ATOMIC_RELEASE);
  }
}

// A user's value into an element that others see.
[[gnu::always_inline]] inline void copy_value_in(const MapCore* map, void* storage,
                                                 const void* from) {
  if (map->spin_lock_offset < 0) return copy_in(storage, from, map->value_size);
  copy_in_around_lock(map, storage, from);
}

// A user's value into an element that nobody sees yet: the lock is free.
[[gnu::always_inline]] inline void init_value(const MapCore* map, void* storage, const void* from) {
  copy_in(storage, from, map->value_size);
  if (map->spin_lock_offset >= 0)
    __atomic_store_n(spin_lock_of(map, storage), 0u, __ATOMIC_RELEASE);
}

}  // namespace sluice::bpf
