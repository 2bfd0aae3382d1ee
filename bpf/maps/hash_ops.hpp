// Hash maps as a program changes them, and the pieces the control thread's side (hash_map.cpp) is
// built from. Shared by the binary and the JIT's bitcode; any thread. Updates and deletes try for
// the bucket's lock bit a bounded number of times and give up with EBUSY.
#pragma once

#include <errno.h>
#include <linux/bpf.h>

#include <cstdint>

#include "bpf/maps/hash_count.hpp"
#include "bpf/maps/hash_find.hpp"
#include "bpf/maps/spin_lock_ops.hpp"

namespace sluice::bpf {

inline constexpr uint32_t kLockTries = 1000;
inline constexpr uint32_t kEvictTries = 256;  // elements an eviction looks at
inline constexpr uint32_t kRoomTries = 8;

// Lock held. Where the element hangs, if it is in the bucket.
inline HashPlace find_reference(const MapCore* map, HashBucket* bucket, uint32_t reference) {
  for (uint32_t lane = 0; lane < kLanes; lane++) {
    const uint64_t tags = __atomic_load_n(&bucket->tags[lane / 4], __ATOMIC_RELAXED);
    if ((tags >> (16 * (lane % 4)) & 0xffff) == 0) continue;
    if (load_reference(&bucket->elements[lane]) == reference)
      return {reference, &bucket->elements[lane], lane};
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
    if (__atomic_compare_exchange_n(&bucket->sequence, &sequence, sequence + 1, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
      return true;
    }
    __builtin_ia32_pause();
  }
  return false;
}
inline void unlock(HashBucket* bucket) {
  uint32_t sequence = __atomic_load_n(&bucket->sequence, __ATOMIC_RELAXED);
  // free whatever it was: the page may have been lost meanwhile (base/bus_error.hpp)
  __atomic_store_n(&bucket->sequence, (sequence | 1) + 1, __ATOMIC_RELEASE);
}

// Lock held. Hangs an element that is not in the bucket into a free lane, else onto the list.
inline void hash_insert(const MapCore* map, HashBucket* bucket, uint64_t hash, uint32_t reference) {
  if (const uint32_t lanes = lanes_with(bucket, 0); lanes != 0) {
    const uint32_t lane = lowest_lane(lanes);
    uint64_t* tags = &bucket->tags[lane / 4];
    store_reference(&bucket->elements[lane], reference);
    __atomic_store_n(tags,
                     __atomic_load_n(tags, __ATOMIC_RELAXED) | tag_of(hash) << (16 * (lane % 4)),
                     __ATOMIC_RELEASE);
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

}  // namespace sluice::bpf

// hash_lock_found where another writer came between: hash_find.cpp.
extern "C" bool sluice_hash_lock_slowly(const sluice::bpf::MapCore* map,
                                        sluice::bpf::HashBucket* bucket, const void* key,
                                        uint64_t hash, sluice::bpf::HashPlace* place);

namespace sluice::bpf {

// What a writer saw before it took the lock: usually it still holds then, and what a lock keeps the
// processor from overlapping is done.
struct HashLook {
  uint32_t sequence;  // odd: a writer was at it
  HashPlace place;
};
[[gnu::always_inline]] inline HashLook hash_look(const MapCore* map, HashBucket* bucket,
                                                 HashKey key, uint64_t hash) {
  const uint32_t sequence = __atomic_load_n(&bucket->sequence, __ATOMIC_ACQUIRE);
  return {sequence, hash_scan(map, bucket, key, hash)};
}
// True: no writer came since, so that it can be answered by.
[[gnu::always_inline]] inline bool still_so(const HashBucket* bucket, const HashLook& look) {
  return (look.sequence & 1) == 0 &&
         __atomic_load_n(&bucket->sequence, __ATOMIC_ACQUIRE) == look.sequence;
}
// Takes the lock, and brings the look up to date if need be. False: EBUSY.
[[gnu::always_inline]] inline bool hash_lock_found(const MapCore* map, HashBucket* bucket,
                                                   HashKey key, uint64_t hash, HashLook* look) {
  uint32_t resting = look->sequence & ~1u;
  if (__builtin_expect(__atomic_compare_exchange_n(&bucket->sequence, &resting, resting + 1, false,
                                                   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED),
                       1)) {
    return true;
  }
  if (key.size > kChainBytes)
    return sluice_hash_lock_slowly(map, bucket, key.bytes, hash, &look->place);
  uint8_t copy[kChainBytes];  // the caller's key may be in registers
  __builtin_memcpy(copy, key.bytes, key.size);
  HashPlace place;  // and so may its look
  const bool locked = sluice_hash_lock_slowly(map, bucket, copy, hash, &place);
  look->place = place;
  return locked;
}

// Lock held. Puts the filled element `reference` in, in place of the one at `place` if there is
// one; *leftover becomes the element that is now nobody's: the one it replaced, itself on an error,
// or 0.
inline long hash_publish(const MapCore* map, HashBucket* bucket, const HashPlace& place,
                         uint64_t hash, uint32_t reference, uint64_t flags, uint32_t writer,
                         uint32_t* leftover) {
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
  if (!hash_reserve(map, writer)) return -E2BIG;
  *leftover = 0;
  if (is_lru(map->type)) mark_use(map, reference, kInMap);
  hash_insert(map, bucket, hash, reference);
  return 0;
}

// What the flags or a full map refuse, where the look tells: saves the copying and the lock. 0: go
// on.
inline long hash_refuses(const MapCore* map, HashBucket* bucket, const HashLook& look,
                         uint64_t flags) {
  long error = 0;
  if (look.place.reference != 0) {
    error = flags == BPF_NOEXIST ? -EEXIST : 0;
  } else if (flags == BPF_EXIST) {
    error = -ENOENT;
  } else if (hash_is_full(map)) {
    error = -E2BIG;
  }
  if (__builtin_expect(error == 0, 1) || !still_so(bucket, look)) return 0;
  if (error == -E2BIG) __atomic_fetch_add(&hash_table(map)->full_errors, 1, __ATOMIC_RELAXED);
  return error;
}

// A program's key may lie where others write: what is hashed must be what is put in. Callers copy
// keys of up to kChainBytes first; longer ones are looked at again in the element.
struct HashKeyCopy {
  uint8_t bytes[kChainBytes];

  [[gnu::always_inline]] HashKey take(HashKey key) {
    if (key.size > kChainBytes) return key;
    __builtin_memcpy(bytes, key.bytes, key.size);
    return {bytes, key.size};
  }
};
[[gnu::always_inline]] inline bool hash_key_moved(const MapCore* map, uint32_t reference,
                                                  uint64_t hash) {
  return map->key_size > kChainBytes &&
         hash_storage(map->hash_key, hash_key_of(hash_element(map, reference)), map->key_size) !=
             hash;
}

inline long hash_update_once(const MapCore* map, HashKey key, const void* value, uint64_t flags,
                             uint32_t writer) {
  if (flags > BPF_EXIST) return -EINVAL;
  uint64_t hash = hash_of(map, key);
  HashBucket* bucket = bucket_of(map, hash);
  HashLook look = hash_look(map, bucket, key, hash);
  if (long error = hash_refuses(map, bucket, look, flags); error != 0) return error;
  uint32_t reference = hash_take_free(map, writer);
  if (reference == 0) return -EBUSY;
  copy_in(hash_key_of(hash_element(map, reference)), key.bytes, key.size);
  init_value(map, hash_value_of(map, reference, 0), value);
  uint32_t leftover = reference;
  long error = -EBUSY;
  if (!hash_key_moved(map, reference, hash) && hash_lock_found(map, bucket, key, hash, &look)) {
    error = hash_publish(map, bucket, look.place, hash, reference, flags, writer, &leftover);
    unlock(bucket);
  }
  if (leftover != 0) hash_give_free(map, leftover, writer);
  return error;
}

// Lock held: a present element's copy for the slot is written in place. ENOENT: not there.
inline long hash_write_slot(const MapCore* map, const HashPlace& place, const void* value,
                            uint64_t flags, uint32_t slot) {
  if (place.reference == 0) return -ENOENT;
  if (flags == BPF_NOEXIST) return -EEXIST;
  copy_in(hash_value_of(map, place.reference, slot), value, map->value_size);
  if (is_lru(map->type)) mark_use(map, place.reference, kReferenced);
  return 0;
}

// E2BIG (full); the rest as map_update_elem. A program writes its own slot alone; in a new element
// the other slots are zero.
inline long hash_update_per_cpu_once(const MapCore* map, HashKey key, const void* value,
                                     uint64_t flags, uint32_t slot, uint32_t writer) {
  if (flags > BPF_EXIST || slot >= map->slots) return -EINVAL;
  uint64_t hash = hash_of(map, key);
  HashBucket* bucket = bucket_of(map, hash);
  HashLook look = hash_look(map, bucket, key, hash);
  if (long error = hash_refuses(map, bucket, look, flags); error != 0) return error;
  if (look.place.reference != 0) {
    if (!hash_lock_found(map, bucket, key, hash, &look)) return -EBUSY;
    const long error = hash_write_slot(map, look.place, value, flags, slot);
    unlock(bucket);
    if (error != -ENOENT || flags == BPF_EXIST) return error;
    look = hash_look(map, bucket, key, hash);  // it went meanwhile
  }

  uint32_t reference = hash_take_free(map, writer);
  if (reference == 0) return -EBUSY;
  copy_in(hash_key_of(hash_element(map, reference)), key.bytes, key.size);
  for (uint32_t other = 0; other < map->slots; other++) {
    if (other != slot) clear_storage(hash_value_of(map, reference, other), map->value_size);
  }
  copy_in(hash_value_of(map, reference, slot), value, map->value_size);
  uint32_t leftover = reference;
  long error = -EBUSY;
  if (!hash_key_moved(map, reference, hash) && hash_lock_found(map, bucket, key, hash, &look)) {
    // Another worker may have put the key in meanwhile.
    error = hash_write_slot(map, look.place, value, flags, slot);
    if (error == -ENOENT)
      error = hash_publish(map, bucket, look.place, hash, reference, flags, writer, &leftover);
    unlock(bucket);
  }
  if (leftover != 0) hash_give_free(map, leftover, writer);
  return error;
}

// Lock held.
inline uint32_t hash_remove(const MapCore* map, HashBucket* bucket, HashKey key, uint64_t hash) {
  HashPlace place = hash_scan(map, bucket, key, hash);
  if (place.reference != 0) hash_unlink(map, bucket, place);
  return place.reference;
}

inline void hash_release(const MapCore* map, uint32_t reference, uint32_t writer) {
  hash_give_free(map, reference, writer);
  hash_uncount(map, writer);
}

// Takes an element out of an LRU map that is full, by the clock algorithm (second chance): an
// approximation of least recently used, as Linux's lists are. BPF_F_NO_COMMON_LRU changes nothing.
// False: none of the elements looked at could be had.
inline bool lru_evict(const MapCore* map, uint32_t writer) {
  HashTable* table = hash_table(map);
  for (uint32_t i = 0; i < kEvictTries; i++) {
    const auto reference =
        static_cast<uint32_t>(__atomic_fetch_add(&table->clock, 1, __ATOMIC_RELAXED) %
                              table->total) +
        1;
    const uint32_t use = use_of(map, reference);
    if (use == kNotInMap) continue;
    if (use == kReferenced && i < kEvictTries / 2) {
      mark_use(map, reference, kInMap);
      continue;
    }
    const uint64_t hash =
        hash_storage(map->hash_key, hash_key_of(hash_element(map, reference)), map->key_size);
    HashBucket* bucket = bucket_of(map, hash);
    if (!try_lock(bucket)) continue;
    // It may have been freed and used again meanwhile.
    const HashPlace place = find_reference(map, bucket, reference);
    if (place.reference != 0) hash_unlink(map, bucket, place);
    unlock(bucket);
    if (place.reference == 0) continue;
    hash_release(map, reference, writer);
    return true;
  }
  return false;
}

// True where the key is in an LRU map or there is a place for it now.
inline bool lru_make_room(const MapCore* map, HashKey key, uint64_t flags, uint32_t writer) {
  if (flags == BPF_EXIST || !hash_is_full(map)) return true;
  const uint64_t hash = hash_of(map, key);
  return hash_find(map, bucket_of(map, hash), key, hash) != 0 || lru_evict(map, writer);
}

// An LRU map makes room and tries again where another writer took it. ENOMEM: it could not, as in
// Linux.
template <class Update>
[[gnu::always_inline]] inline long lru_update(const MapCore* map, HashKey key, uint64_t flags,
                                              uint32_t writer, Update update) {
  if (flags > BPF_EXIST) return -EINVAL;
  for (uint32_t i = 0; i < kRoomTries; i++) {
    if (!lru_make_room(map, key, flags, writer)) break;
    if (long error = update(); error != -E2BIG) return error;
  }
  return -ENOMEM;
}

// `writer`: the index of the worker this runs on, or kNoWorker. No two threads share one. `key`: a
// HashKeyCopy, or memory of this thread's own.
inline long hash_update(const MapCore* map, HashKey key, const void* value, uint64_t flags,
                        uint32_t writer) {
  const auto once = [&] { return hash_update_once(map, key, value, flags, writer); };
  return is_lru(map->type) ? lru_update(map, key, flags, writer, once) : once();
}

inline long hash_update_per_cpu(const MapCore* map, HashKey key, const void* value, uint64_t flags,
                                uint32_t slot, uint32_t writer) {
  const auto once = [&] { return hash_update_per_cpu_once(map, key, value, flags, slot, writer); };
  return is_lru(map->type) ? lru_update(map, key, flags, writer, once) : once();
}

inline long hash_delete(const MapCore* map, HashKey key, uint32_t writer) {
  uint64_t hash = hash_of(map, key);
  HashBucket* bucket = bucket_of(map, hash);
  HashLook look = hash_look(map, bucket, key, hash);
  if (look.place.reference == 0 && still_so(bucket, look)) return -ENOENT;
  if (!hash_lock_found(map, bucket, key, hash, &look)) return -EBUSY;
  if (look.place.reference != 0) hash_unlink(map, bucket, look.place);
  unlock(bucket);
  if (look.place.reference == 0) return -ENOENT;
  hash_release(map, look.place.reference, writer);
  return 0;
}

}  // namespace sluice::bpf
