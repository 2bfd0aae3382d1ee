// Lookups in a hash map, and how a bucket is read. Shared by the binary and the JIT's bitcode; any
// thread. They take no lock: a bucket's sequence tells afterwards whether a writer came between.
#pragma once

#include <emmintrin.h>

#include <cstdint>

#include "bpf/maps/hash_table.hpp"

namespace sluice::bpf {

inline constexpr uint32_t kReadTries = 64;

// The size is the map's. It stands beside the key so that the JIT's bitcode can have it constant
// before it is read.
struct HashKey {
  const void* bytes;
  uint32_t size;
};
[[gnu::always_inline]] inline HashKey key_for(const MapCore* map, const void* bytes) {
  return {bytes, map->key_size};
}

[[gnu::always_inline]] inline uint64_t hash_of(const MapCore* map, HashKey key) {
  return hash_bytes(map->hash_key, key.bytes, key.size);
}
[[gnu::always_inline]] inline HashBucket* bucket_of(const MapCore* map, uint64_t hash) {
  return hash_bucket(map, hash & map->bucket_mask);
}
[[gnu::always_inline]] inline uint64_t tag_of(uint64_t hash) {
  uint64_t tag = hash >> 48;
  return tag < 2 ? tag + 2 : tag;  // 0: an empty lane; stored maps have no 1
}
// The lanes that have the tag, two bits for each, of which the lower is set.
[[gnu::always_inline]] inline uint32_t lanes_with(const HashBucket* bucket, uint64_t tag) {
  const auto half = [&](int i) {
    return static_cast<long long>(__atomic_load_n(&bucket->tags[i], __ATOMIC_ACQUIRE));
  };
  const __m128i tags = _mm_set_epi64x(half(1), half(0));
  return static_cast<uint32_t>(
             _mm_movemask_epi8(_mm_cmpeq_epi16(tags, _mm_set1_epi16(static_cast<short>(tag))))) &
         0x5555;
}
[[gnu::always_inline]] inline uint32_t lowest_lane(uint32_t lanes) {
  return static_cast<uint32_t>(__builtin_ctz(lanes)) / 2;
}
[[gnu::always_inline]] inline uint32_t load_reference(const uint32_t* reference) {
  return __atomic_load_n(reference, __ATOMIC_ACQUIRE);
}
[[gnu::always_inline]] inline void store_reference(uint32_t* place, uint32_t reference) {
  __atomic_store_n(place, reference, __ATOMIC_RELEASE);
}
[[gnu::always_inline]] inline bool has_key(const MapCore* map, uint32_t reference, HashKey key) {
  return key_equal(hash_key_of(hash_element(map, reference)), key.bytes, key.size);
}

[[gnu::always_inline]] inline uint32_t use_of(const MapCore* map, uint32_t reference) {
  return __atomic_load_n(&hash_element(map, reference)->used, __ATOMIC_RELAXED);
}
// A look first keeps the line shared among readers.
[[gnu::always_inline]] inline void mark_use(const MapCore* map, uint32_t reference,
                                            ElementUse use) {
  uint32_t* used = &hash_element(map, reference)->used;
  if (__atomic_load_n(used, __ATOMIC_RELAXED) != use) __atomic_store_n(used, use, __ATOMIC_RELAXED);
}

// Where an element hangs: the word that refers to it, and its lane.
struct HashPlace {
  uint32_t reference = 0;     // 0: not found
  uint32_t* link = nullptr;   // in the bucket's elements, its overflow, or an element's next
  uint32_t lane = kLanes;     // kLanes: on the list
};

// The bucket's lanes, without regard to writers.
[[gnu::always_inline]] inline HashPlace scan_lanes(const MapCore* map, HashBucket* bucket,
                                                   HashKey key, uint64_t hash) {
  for (uint32_t lanes = lanes_with(bucket, tag_of(hash)); lanes != 0; lanes &= lanes - 1) {
    uint32_t lane = lowest_lane(lanes);
    uint32_t reference = load_reference(&bucket->elements[lane]);
    if (has_key(map, reference, key)) return {reference, &bucket->elements[lane], lane};
  }
  return {};
}

// One pass over the bucket, its list too.
[[gnu::always_inline]] inline HashPlace hash_scan(const MapCore* map, HashBucket* bucket,
                                                  HashKey key, uint64_t hash) {
  const HashPlace place = scan_lanes(map, bucket, key, hash);
  if (place.reference != 0) return place;
  uint32_t* link = &bucket->overflow;
  // Reuse may lead a reader onto other lists; it stops, and its sequence check sends it back.
  for (uint32_t steps = 0; steps <= map->max_entries; steps++) {
    uint32_t reference = load_reference(link);
    if (reference == 0) break;
    if (has_key(map, reference, key)) return {reference, link, kLanes};
    link = &hash_element(map, reference)->next;
  }
  return {};
}

[[gnu::always_inline]] inline uint32_t bucket_sequence(const HashBucket* bucket) {
  return __atomic_load_n(&bucket->sequence, __ATOMIC_ACQUIRE) >> 1;
}

}  // namespace sluice::bpf

// hash_find where a writer came between, the bucket has a list, or another key has the tag:
// hash_find.cpp. Called, so that what is rare takes neither the JIT's time nor the packet path's
// cache.
extern "C" uint32_t sluice_hash_find_slowly(const sluice::bpf::MapCore* map,
                                            sluice::bpf::HashBucket* bucket, const void* key,
                                            uint64_t hash);

namespace sluice::bpf {

// The key's copy lives here alone: the caller's may be in registers.
[[gnu::always_inline]] inline uint32_t find_slowly(const MapCore* map, HashBucket* bucket,
                                                   HashKey key, uint64_t hash) {
  if (key.size > kChainBytes) return sluice_hash_find_slowly(map, bucket, key.bytes, hash);
  uint8_t copy[kChainBytes];
  __builtin_memcpy(copy, key.bytes, key.size);
  return sluice_hash_find_slowly(map, bucket, copy, hash);
}

// The element with the key, or 0. A freed element is used again only after its bucket was unlocked,
// so an unchanged sequence proves the answer.
[[gnu::always_inline]] inline uint32_t hash_find(const MapCore* map, HashBucket* bucket,
                                                 HashKey key, uint64_t hash) {
  const uint32_t before = bucket_sequence(bucket);
  const uint32_t lanes = lanes_with(bucket, tag_of(hash));
  uint32_t reference = 0;
  bool sure;
  if (lanes != 0) {
    reference = load_reference(&bucket->elements[lowest_lane(lanes)]);
    sure = has_key(map, reference, key);
  } else {
    sure = load_reference(&bucket->overflow) == 0;
  }
  if (__builtin_expect(sure && bucket_sequence(bucket) == before, 1)) return reference;
  return find_slowly(map, bucket, key, hash);
}

[[gnu::always_inline]] inline void* hash_lookup(const MapCore* map, HashKey key, uint32_t slot) {
  uint64_t hash = hash_of(map, key);
  uint32_t reference = hash_find(map, bucket_of(map, hash), key, hash);
  const uint32_t copy = is_per_cpu_hash(map->type) ? slot : 0;
  if (reference == 0 || copy >= map->slots) return nullptr;
  if (is_lru(map->type)) mark_use(map, reference, kReferenced);
  return hash_value_of(map, reference, copy);
}

}  // namespace sluice::bpf
