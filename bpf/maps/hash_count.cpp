#include "bpf/maps/hash_count.hpp"

#include <algorithm>

namespace sluice::bpf {
namespace {

constexpr int kLooks = 2;  // while a worker tells `live` its elements, they may count twice

int64_t sum(const MapCore* map) {
  int64_t count = static_cast<int64_t>(__atomic_load_n(&hash_table(map)->live, __ATOMIC_ACQUIRE));
  for (uint32_t i = 0; i < map->magazines_count; i++)
    count += __atomic_load_n(&magazine_of(map, i)->uncounted, __ATOMIC_ACQUIRE);
  return count;
}

// Never counts too few meanwhile.
void tell(const MapCore* map, HashMagazine* magazine) {
  uint64_t* live = &hash_table(map)->live;
  const int32_t untold = magazine->uncounted;
  if (untold > 0) __atomic_fetch_add(live, static_cast<uint64_t>(untold), __ATOMIC_RELEASE);
  __atomic_store_n(&magazine->uncounted, 0, __ATOMIC_RELEASE);
  if (untold < 0) __atomic_fetch_sub(live, static_cast<uint64_t>(-untold), __ATOMIC_RELEASE);
}

}  // namespace

uint64_t hash_count(const MapCore* map) {
  return static_cast<uint64_t>(std::clamp<int64_t>(sum(map), 0, map->max_entries));
}

}  // namespace sluice::bpf

using namespace sluice::bpf;

extern "C" bool sluice_hash_is_full_slowly(const MapCore* map) {
  for (int i = 0; i < kLooks; i++) {
    if (sum(map) < int64_t{map->max_entries}) return false;
  }
  return true;
}

extern "C" bool sluice_hash_reserve_slowly(const MapCore* map, HashMagazine* magazine) {
  HashTable* table = hash_table(map);
  if (magazine != nullptr) tell(map, magazine);
  uint64_t live = __atomic_load_n(&table->live, __ATOMIC_RELAXED);
  while (!sluice_hash_is_full_slowly(map)) {
    if (__atomic_compare_exchange_n(&table->live, &live, live + 1, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
      return true;
  }
  __atomic_fetch_add(&table->full_errors, 1, __ATOMIC_RELAXED);
  return false;
}

extern "C" void sluice_hash_uncount_slowly(const MapCore* map, HashMagazine* magazine) {
  if (magazine != nullptr) tell(map, magazine);
  __atomic_fetch_sub(&hash_table(map)->live, 1, __ATOMIC_RELEASE);
}
