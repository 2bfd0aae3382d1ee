// The free elements of a hash map. Shared by the binary and the JIT's bitcode.
//
// A worker keeps a few in a magazine of its own, by its index: what it freed last it takes again
// while it is in the cache, and no other thread touches the magazine, so that the usual take and
// give are plain loads and stores. A magazine gives its oldest, so that an element rests for a
// magazine's length at least. The rest, and the elements of whoever has no magazine (control
// threads, test runs), wait in a FIFO queue, a lock-free linked one after Michael and Scott (PODC
// 1996): references with a count against reuse, one element always in the queue as its dummy;
// chains enter and leave it in one step. Elements never used yet come before the queue's and are
// only counted, so that creating a map does not touch its memory.
//
// Magazines are this process's; recovery finds what lay in them as what no bucket refers to.
#pragma once

#include "bpf/maps/hash_table.hpp"

namespace sluice::bpf {

inline constexpr uint32_t kMagazineMax = 32;  // a power of two

struct alignas(64) HashMagazine {  // owning worker: rw
  uint32_t first;
  uint32_t count;
  // elements that HashTable::live does not count yet: hash_count.hpp. Others: ro
  int32_t uncounted;
  uint32_t references[kMagazineMax];  // a ring, the oldest at `first`
};

}  // namespace sluice::bpf

// Where the magazine is empty or full, or null: hash_free.cpp. Take: 0 where no element is free
// now.
extern "C" uint32_t sluice_hash_take_slowly(const sluice::bpf::MapCore* map,
                                            sluice::bpf::HashMagazine* magazine);
extern "C" void sluice_hash_give_slowly(const sluice::bpf::MapCore* map,
                                        sluice::bpf::HashMagazine* magazine, uint32_t reference);

namespace sluice::bpf {

[[gnu::always_inline]] inline HashMagazine* magazine_of(const MapCore* map, uint32_t writer) {
  return writer < map->magazines_count ? static_cast<HashMagazine*>(map->magazines) + writer
                                       : nullptr;
}

[[gnu::always_inline]] inline uint32_t pop_oldest(HashMagazine* magazine) {
  magazine->count--;
  return magazine->references[magazine->first++ % kMagazineMax];
}
[[gnu::always_inline]] inline void push_newest(HashMagazine* magazine, uint32_t reference) {
  magazine->references[(magazine->first + magazine->count++) % kMagazineMax] = reference;
}

// A free element, or 0: none now, or too much contention. The caller publishes it or gives it back.
[[gnu::always_inline]] inline uint32_t hash_take_free(const MapCore* map, uint32_t writer) {
  HashMagazine* magazine = magazine_of(map, writer);
  if (__builtin_expect(magazine == nullptr || magazine->count == 0, 0))
    return sluice_hash_take_slowly(map, magazine);
  return pop_oldest(magazine);
}

[[gnu::always_inline]] inline void hash_give_free(const MapCore* map, uint32_t reference,
                                                  uint32_t writer) {
  HashMagazine* magazine = magazine_of(map, writer);
  if (__builtin_expect(magazine == nullptr || magazine->count == map->magazine_capacity, 0)) {
    return sluice_hash_give_slowly(map, magazine, reference);
  }
  push_newest(magazine, reference);
}

}  // namespace sluice::bpf
