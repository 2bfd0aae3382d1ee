// Hash maps as a program sees them, and the pieces the control thread's side (hash_map.cpp) is built from. Shared by the
// binary and the JIT's bitcode; any thread. Lookups take no lock; updates and deletes try for the bucket's lock bit a
// bounded number of times and give up with EBUSY.
#pragma once

#include <errno.h>
#include <linux/bpf.h>

#include <cstdint>

#include "bpf/maps/hash_table.hpp"
#include "bpf/maps/spin_lock_ops.hpp"

namespace sluice::bpf {

inline constexpr uint32_t kReadTries = 64;
inline constexpr uint32_t kLockTries = 1000;
inline constexpr uint32_t kEvictTries = 256;  // elements an eviction looks at
inline constexpr uint32_t kRoomTries = 8;

[[gnu::always_inline]] inline uint64_t hash_of(const MapCore* map, const void* key) {
  return hash_bytes(map->hash_key, key, map->key_size);
}
[[gnu::always_inline]] inline HashBucket* bucket_of(const MapCore* map, uint64_t hash) {
  return hash_bucket(map, hash & map->bucket_mask);
}
[[gnu::always_inline]] inline uint64_t tag_of(uint64_t hash) {
  uint64_t tag = hash >> 48;
  return tag < 2 ? tag + 2 : tag;  // 0 is empty, and a 1 would let zero_lanes take an empty lane for a match
}
// The top bit of each lane that is 0. Lanes above a true one may be wrong; the lowest never is.
[[gnu::always_inline]] inline uint64_t zero_lanes(uint64_t tags) { return (tags - kLaneOnes) & ~tags & kLaneTops; }
[[gnu::always_inline]] inline uint32_t lowest_lane(uint64_t lanes) {
  return static_cast<uint32_t>(__builtin_ctzll(lanes)) / 16;
}
[[gnu::always_inline]] inline uint32_t load_reference(const uint32_t* reference) {
  return __atomic_load_n(reference, __ATOMIC_ACQUIRE);
}
[[gnu::always_inline]] inline void store_reference(uint32_t* place, uint32_t reference) {
  __atomic_store_n(place, reference, __ATOMIC_RELEASE);
}
[[gnu::always_inline]] inline bool has_key(const MapCore* map, uint32_t reference, const void* key) {
  return key_equal(hash_key_of(hash_element(map, reference)), key, map->key_size);
}

[[gnu::always_inline]] inline uint32_t use_of(const MapCore* map, uint32_t reference) {
  return __atomic_load_n(&hash_element(map, reference)->used, __ATOMIC_RELAXED);
}
// A look first keeps the line shared among readers.
[[gnu::always_inline]] inline void mark_use(const MapCore* map, uint32_t reference, ElementUse use) {
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
[[gnu::always_inline]] inline HashPlace scan_lanes(const MapCore* map, HashBucket* bucket, const void* key, uint64_t hash) {
  uint64_t pattern = tag_of(hash) * kLaneOnes;
  for (uint32_t half = 0; half < 2; half++) {
    uint64_t lanes = zero_lanes(__atomic_load_n(&bucket->tags[half], __ATOMIC_ACQUIRE) ^ pattern);
    for (; lanes != 0; lanes &= lanes - 1) {
      uint32_t lane = half * 4 + lowest_lane(lanes);
      uint32_t reference = load_reference(&bucket->elements[lane]);
      if (has_key(map, reference, key)) return {reference, &bucket->elements[lane], lane};
    }
  }
  return {};
}

// One pass over the bucket, its list too.
[[gnu::always_inline]] inline HashPlace hash_scan(const MapCore* map, HashBucket* bucket, const void* key, uint64_t hash) {
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

// hash_find where a writer came between or the bucket has a list: hash_find.cpp. Called, so that what is rare takes
// neither the JIT's time nor the packet path's cache.
extern "C" uint32_t sluice_hash_find_slowly(const sluice::bpf::MapCore* map, sluice::bpf::HashBucket* bucket, const void* key,
                                            uint64_t hash);

namespace sluice::bpf {

// The key's copy lives here alone: the caller's may be in registers.
[[gnu::always_inline]] inline uint32_t find_slowly(const MapCore* map, HashBucket* bucket, const void* key, uint64_t hash) {
  if (map->key_size > kChainBytes) return sluice_hash_find_slowly(map, bucket, key, hash);
  uint8_t copy[kChainBytes];
  __builtin_memcpy(copy, key, map->key_size);
  return sluice_hash_find_slowly(map, bucket, copy, hash);
}

// The element with the key, or 0. A freed element is used again only after its bucket was unlocked, so an unchanged
// sequence proves the answer.
[[gnu::always_inline]] inline uint32_t hash_find(const MapCore* map, HashBucket* bucket, const void* key, uint64_t hash) {
  const uint32_t before = bucket_sequence(bucket);
  const uint32_t reference = scan_lanes(map, bucket, key, hash).reference;
  const bool whole = reference != 0 || load_reference(&bucket->overflow) == 0;
  if (__builtin_expect(whole && bucket_sequence(bucket) == before, 1)) return reference;
  return find_slowly(map, bucket, key, hash);
}

[[gnu::always_inline]] inline void* hash_lookup(const MapCore* map, const void* key, uint32_t slot) {
  uint64_t hash = hash_of(map, key);
  uint32_t reference = hash_find(map, bucket_of(map, hash), key, hash);
  if (reference == 0) return nullptr;
  if (is_lru(map->type)) mark_use(map, reference, kReferenced);
  if (!is_per_cpu_hash(map->type)) return hash_value_of(map, reference, 0);
  return slot < map->slots ? hash_value_of(map, reference, slot) : nullptr;
}

// Lock held. Where the element hangs, if it is in the bucket.
inline HashPlace find_reference(const MapCore* map, HashBucket* bucket, uint32_t reference) {
  for (uint32_t lane = 0; lane < kLanes; lane++) {
    const uint64_t tags = __atomic_load_n(&bucket->tags[lane / 4], __ATOMIC_RELAXED);
    if ((tags >> (16 * (lane % 4)) & 0xffff) == 0) continue;
    if (load_reference(&bucket->elements[lane]) == reference) return {reference, &bucket->elements[lane], lane};
  }
  uint32_t* link = &bucket->overflow;
  for (uint32_t at = load_reference(link); at != 0; at = load_reference(link)) {
    if (at == reference) return {reference, link, kLanes};
    link = &hash_element(map, at)->next;
  }
  return {};
}

inline bool try_lock(HashBucket* bucket) {
  for (uint32_t i = 0; i < kLockTries; i++) {
    uint32_t sequence = __atomic_load_n(&bucket->sequence, __ATOMIC_RELAXED) & ~1u;
    if (__atomic_compare_exchange_n(&bucket->sequence, &sequence, sequence + 1, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED)) {
      return true;
    }
    __builtin_ia32_pause();
  }
  return false;
}
inline void unlock(HashBucket* bucket) {
  uint32_t sequence = __atomic_load_n(&bucket->sequence, __ATOMIC_RELAXED);
  __atomic_store_n(&bucket->sequence, sequence + 1, __ATOMIC_RELEASE);
}

// Lock held. Hangs an element that is not in the bucket into a free lane, else onto the list.
inline void hash_insert(const MapCore* map, HashBucket* bucket, uint64_t hash, uint32_t reference) {
  for (uint32_t half = 0; half < 2; half++) {
    uint64_t tags = __atomic_load_n(&bucket->tags[half], __ATOMIC_RELAXED);
    uint64_t lanes = zero_lanes(tags);
    if (lanes == 0) continue;
    uint32_t lane = lowest_lane(lanes);
    store_reference(&bucket->elements[half * 4 + lane], reference);
    __atomic_store_n(&bucket->tags[half], tags | tag_of(hash) << (16 * lane), __ATOMIC_RELEASE);
    return;
  }
  store_reference(&hash_element(map, reference)->next, load_reference(&bucket->overflow));
  store_reference(&bucket->overflow, reference);
}

// Lock held.
inline void hash_unlink(const MapCore* map, HashBucket* bucket, const HashPlace& place) {
  if (is_lru(map->type)) mark_use(map, place.reference, kNotInMap);
  if (place.lane == kLanes) {
    store_reference(place.link, load_reference(&hash_element(map, place.reference)->next));
    return;
  }
  uint64_t* tags = &bucket->tags[place.lane / 4];
  uint64_t mask = 0xffffull << (16 * (place.lane % 4));
  __atomic_store_n(tags, __atomic_load_n(tags, __ATOMIC_RELAXED) & ~mask, __ATOMIC_RELEASE);
}

// Counts one more element, or not: then the map is full.
inline bool hash_reserve(const MapCore* map) {
  HashTable* table = hash_table(map);
  uint64_t live = __atomic_load_n(&table->live, __ATOMIC_RELAXED);
  while (live < map->max_entries) {
    if (__atomic_compare_exchange_n(&table->live, &live, live + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return true;
  }
  __atomic_fetch_add(&table->full_errors, 1, __ATOMIC_RELAXED);
  return false;
}

// Lock held. Puts the filled element `reference` in; *leftover becomes the element that is now nobody's: the one it
// replaced, itself on an error, or 0.
inline long hash_publish(const MapCore* map, HashBucket* bucket, const void* key, uint64_t hash, uint32_t reference,
                         uint64_t flags, uint32_t* leftover) {
  HashPlace place = hash_scan(map, bucket, key, hash);
  *leftover = reference;
  if (place.reference != 0) {
    if (flags == BPF_NOEXIST) return -EEXIST;
    *leftover = place.reference;
    if (is_lru(map->type)) {
      mark_use(map, reference, kReferenced);
      mark_use(map, place.reference, kNotInMap);
    }
    uint32_t next = load_reference(&hash_element(map, place.reference)->next);
    if (place.lane == kLanes) store_reference(&hash_element(map, reference)->next, next);
    store_reference(place.link, reference);
    return 0;
  }
  if (flags == BPF_EXIST) return -ENOENT;
  if (!hash_reserve(map)) return -E2BIG;
  *leftover = 0;
  if (is_lru(map->type)) mark_use(map, reference, kInMap);
  hash_insert(map, bucket, hash, reference);
  return 0;
}

// True where an insert cannot succeed: saves a full map's flood of new keys the copying and the lock.
inline bool hash_refuses(const MapCore* map, HashBucket* bucket, const void* key, uint64_t hash, uint64_t flags) {
  HashTable* table = hash_table(map);
  if (flags == BPF_EXIST || __atomic_load_n(&table->live, __ATOMIC_RELAXED) < map->max_entries) return false;
  if (hash_find(map, bucket, key, hash) != 0) return false;
  __atomic_fetch_add(&table->full_errors, 1, __ATOMIC_RELAXED);
  return true;
}

inline long hash_update_once(const MapCore* map, const void* key, const void* value, uint64_t flags) {
  if (flags > BPF_EXIST) return -EINVAL;
  uint64_t hash = hash_of(map, key);
  HashBucket* bucket = bucket_of(map, hash);
  if (hash_refuses(map, bucket, key, hash, flags)) return -E2BIG;
  uint32_t reference = hash_take_free(map);
  if (reference == 0) return -EBUSY;
  copy_in(hash_key_of(hash_element(map, reference)), key, map->key_size);
  init_value(map, hash_value_of(map, reference, 0), value);
  uint32_t leftover = reference;
  long error = -EBUSY;
  if (try_lock(bucket)) {
    error = hash_publish(map, bucket, key, hash, reference, flags, &leftover);
    unlock(bucket);
  }
  if (leftover != 0) hash_give_free(map, leftover);
  return error;
}

// Lock held: a present element's copy for the slot is written in place. ENOENT: not there.
inline long hash_write_slot(const MapCore* map, HashBucket* bucket, const void* key, uint64_t hash, const void* value,
                            uint64_t flags, uint32_t slot) {
  uint32_t present = hash_scan(map, bucket, key, hash).reference;
  if (present == 0) return -ENOENT;
  if (flags == BPF_NOEXIST) return -EEXIST;
  copy_in(hash_value_of(map, present, slot), value, map->value_size);
  if (is_lru(map->type)) mark_use(map, present, kReferenced);
  return 0;
}

// E2BIG (full); the rest as map_update_elem. A program writes its own slot alone; in a new element the other slots are zero.
inline long hash_update_per_cpu_once(const MapCore* map, const void* key, const void* value, uint64_t flags, uint32_t slot) {
  if (flags > BPF_EXIST || slot >= map->slots) return -EINVAL;
  uint64_t hash = hash_of(map, key);
  HashBucket* bucket = bucket_of(map, hash);
  if (hash_refuses(map, bucket, key, hash, flags)) return -E2BIG;
  if (!try_lock(bucket)) return -EBUSY;
  long error = hash_write_slot(map, bucket, key, hash, value, flags, slot);
  unlock(bucket);
  if (error != -ENOENT || flags == BPF_EXIST) return error;

  uint32_t reference = hash_take_free(map);
  if (reference == 0) return -EBUSY;
  copy_in(hash_key_of(hash_element(map, reference)), key, map->key_size);
  for (uint32_t other = 0; other < map->slots; other++) {
    if (other != slot) clear_storage(hash_value_of(map, reference, other), map->value_size);
  }
  copy_in(hash_value_of(map, reference, slot), value, map->value_size);
  uint32_t leftover = reference;
  error = -EBUSY;
  if (try_lock(bucket)) {
    // Another worker may have put the key in meanwhile.
    error = hash_write_slot(map, bucket, key, hash, value, flags, slot);
    if (error == -ENOENT) error = hash_publish(map, bucket, key, hash, reference, flags, &leftover);
    unlock(bucket);
  }
  if (leftover != 0) hash_give_free(map, leftover);
  return error;
}

// Lock held.
inline uint32_t hash_remove(const MapCore* map, HashBucket* bucket, const void* key, uint64_t hash) {
  HashPlace place = hash_scan(map, bucket, key, hash);
  if (place.reference != 0) hash_unlink(map, bucket, place);
  return place.reference;
}

// The element is free before it stops counting, so that whoever is let in by the count finds one.
inline void hash_release(const MapCore* map, uint32_t reference) {
  hash_give_free(map, reference);
  __atomic_fetch_sub(&hash_table(map)->live, 1, __ATOMIC_RELEASE);
}

// Takes an element out of an LRU map that is full, by the clock algorithm (second chance): an approximation of least
// recently used, as Linux's lists are. BPF_F_NO_COMMON_LRU changes nothing. False: none of the elements looked at could be had.
inline bool lru_evict(const MapCore* map) {
  HashTable* table = hash_table(map);
  for (uint32_t i = 0; i < kEvictTries; i++) {
    const auto reference =
        static_cast<uint32_t>(__atomic_fetch_add(&table->clock, 1, __ATOMIC_RELAXED) % table->total) + 1;
    const uint32_t use = use_of(map, reference);
    if (use == kNotInMap) continue;
    if (use == kReferenced && i < kEvictTries / 2) {
      mark_use(map, reference, kInMap);
      continue;
    }
    const uint64_t hash = hash_storage(map->hash_key, hash_key_of(hash_element(map, reference)), map->key_size);
    HashBucket* bucket = bucket_of(map, hash);
    if (!try_lock(bucket)) continue;
    // It may have been freed and used again meanwhile.
    const HashPlace place = find_reference(map, bucket, reference);
    if (place.reference != 0) hash_unlink(map, bucket, place);
    unlock(bucket);
    if (place.reference == 0) continue;
    hash_release(map, reference);
    return true;
  }
  return false;
}

// True where the key is in an LRU map or there is a place for it now.
inline bool lru_make_room(const MapCore* map, const void* key, uint64_t flags) {
  if (flags == BPF_EXIST || __atomic_load_n(&hash_table(map)->live, __ATOMIC_RELAXED) < map->max_entries) return true;
  const uint64_t hash = hash_of(map, key);
  return hash_find(map, bucket_of(map, hash), key, hash) != 0 || lru_evict(map);
}

// An LRU map makes room and tries again where another writer took it. ENOMEM: it could not, as in Linux.
template <class Update>
[[gnu::always_inline]] inline long lru_update(const MapCore* map, const void* key, uint64_t flags, Update update) {
  if (flags > BPF_EXIST) return -EINVAL;
  for (uint32_t i = 0; i < kRoomTries; i++) {
    if (!lru_make_room(map, key, flags)) break;
    if (long error = update(); error != -E2BIG) return error;
  }
  return -ENOMEM;
}

inline long hash_update(const MapCore* map, const void* key, const void* value, uint64_t flags) {
  if (!is_lru(map->type)) return hash_update_once(map, key, value, flags);
  return lru_update(map, key, flags, [&] { return hash_update_once(map, key, value, flags); });
}

inline long hash_update_per_cpu(const MapCore* map, const void* key, const void* value, uint64_t flags, uint32_t slot) {
  if (!is_lru(map->type)) return hash_update_per_cpu_once(map, key, value, flags, slot);
  return lru_update(map, key, flags, [&] { return hash_update_per_cpu_once(map, key, value, flags, slot); });
}

inline long hash_delete(const MapCore* map, const void* key) {
  uint64_t hash = hash_of(map, key);
  HashBucket* bucket = bucket_of(map, hash);
  if (!try_lock(bucket)) return -EBUSY;
  uint32_t reference = hash_remove(map, bucket, key, hash);
  unlock(bucket);
  if (reference == 0) return -ENOENT;
  hash_release(map, reference);
  return 0;
}

}  // namespace sluice::bpf
