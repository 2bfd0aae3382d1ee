// How many elements a hash map has: what keeps it from holding more than max_entries. Shared by the
// binary and the JIT's bitcode.
//
// HashTable::live knows all but what each worker has not told it: as long as the map is not nearly
// full, a worker counts in its own magazine, by plain loads and stores, and tells every
// kUncountedMax elements. Nearly full is where the other workers' untold elements could make the
// difference; there each insertion is counted in `live`, in one step with the look at it. Exact
// where one thread writes. Where several do, an insertion into a map with a few places left may
// find it full.
#pragma once

#include "bpf/maps/hash_free.hpp"

// hash_count.cpp. Where the map may be full, or the magazine (null: none) has counted enough.
extern "C" bool sluice_hash_is_full_slowly(const sluice::bpf::MapCore* map);
extern "C" bool sluice_hash_reserve_slowly(const sluice::bpf::MapCore* map,
                                           sluice::bpf::HashMagazine* magazine);
extern "C" void sluice_hash_uncount_slowly(const sluice::bpf::MapCore* map,
                                           sluice::bpf::HashMagazine* magazine);

namespace sluice::bpf {

inline constexpr int32_t kUncountedMax = 32;

// `live` alone tells that there is room.
[[gnu::always_inline]] inline bool has_ample_room(const MapCore* map) {
  const uint64_t untold = uint64_t{map->magazines_count} * (kUncountedMax + 1);
  return __atomic_load_n(&hash_table(map)->live, __ATOMIC_RELAXED) + untold < map->max_entries;
}
[[gnu::always_inline]] inline bool hash_is_full(const MapCore* map) {
  return !__builtin_expect(has_ample_room(map), 1) && sluice_hash_is_full_slowly(map);
}

// Counts one more element, or not: then the map is full.
[[gnu::always_inline]] inline bool hash_reserve(const MapCore* map, uint32_t writer) {
  HashMagazine* magazine = magazine_of(map, writer);
  if (__builtin_expect(magazine != nullptr && magazine->uncounted < kUncountedMax, 1)) {
    __atomic_store_n(&magazine->uncounted, magazine->uncounted + 1, __ATOMIC_RELAXED);
    // counted first, so that others see it however long this thread then sleeps
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (__builtin_expect(has_ample_room(map), 1)) return true;
    __atomic_store_n(&magazine->uncounted, magazine->uncounted - 1, __ATOMIC_RELAXED);
  }
  return sluice_hash_reserve_slowly(map, magazine);
}

// One element less. It is free by now, so that whoever is let in by the count finds one.
[[gnu::always_inline]] inline void hash_uncount(const MapCore* map, uint32_t writer) {
  HashMagazine* magazine = magazine_of(map, writer);
  if (__builtin_expect(magazine == nullptr || magazine->uncounted == -kUncountedMax, 0)) {
    return sluice_hash_uncount_slowly(map, magazine);
  }
  __atomic_store_n(&magazine->uncounted, magazine->uncounted - 1, __ATOMIC_RELEASE);
}

// Elements in the map; between what it was and what it is where workers change it meanwhile.
uint64_t hash_count(const MapCore* map);

}  // namespace sluice::bpf
