// The memory of a hash map. Shared by the binary and the JIT's bitcode.
//
// Buckets are cache lines of 8 tags and 8 element references; what does not fit hangs on a list through the elements, so
// max_entries elements always fit. An element never moves: a replaced value is a new element in the old one's lane.
// Readers take no lock. They check the bucket's sequence afterwards, since an element they looked at may have been freed
// and used again for another key; writers take the bucket's lock bit, which is the sequence's lowest.
//
// Elements are numbered from 1 (0 is none). Free ones wait in a FIFO queue, a lock-free linked one after Michael and Scott
// (PODC 1996): references with a count against reuse, one element always in the queue as its dummy. Elements never
// used yet come first and are only counted, so that creating a map does not touch its memory.
#pragma once

#include <linux/bpf.h>

#include <cstdint>

#include "bpf/maps/map_bytes.hpp"
#include "bpf/maps/map_core.hpp"

namespace sluice::bpf {

inline constexpr uint32_t kLanes = 8;
inline constexpr uint64_t kLaneOnes = 0x0001000100010001ull;
inline constexpr uint64_t kLaneTops = 0x8000800080008000ull;

struct alignas(64) HashBucket {
  uint64_t tags[2];           // 4 tags each, 0 is an empty lane; lock holder: rw, readers: ro
  uint32_t elements[kLanes];  // the same
  uint32_t overflow;          // first element of the list, or 0; the same
  uint32_t sequence;          // lowest bit: locked; the rest counts unlocks
};
static_assert(sizeof(HashBucket) == 64);

struct HashElement {
  uint64_t free_link;  // queue: reference of the next and count; never anything else
  uint32_t next;       // bucket's list
  uint32_t used;       // LRU kinds: ElementUse
};  // then the key, rounded up to 8, and the values
static_assert(sizeof(HashElement) == 16);

// LRU kinds: programs set `referenced` at a lookup or replacement; eviction takes what is not.
enum ElementUse : uint32_t { kNotInMap = 0, kInMap = 1, kReferenced = 2 };

// At MapCore::table; the buckets follow it directly.
struct alignas(64) HashTable {
  uint64_t total;                    // elements there are: max_entries, one a writer, the queue's dummy
  alignas(64) uint64_t free_head;    // all writers: rw
  alignas(64) uint64_t free_tail;    // the same
  alignas(64) uint64_t never_used;   // next element never used yet
  alignas(64) uint64_t live;         // elements in the map
  uint64_t full_errors;
  uint64_t hash_key[2];              // MapCore's, for a table that outlives the process
  alignas(64) uint64_t clock;        // LRU kinds: where eviction looks next; all writers: rw
};

[[gnu::always_inline]] inline bool is_lru(uint32_t type) {
  return type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}
[[gnu::always_inline]] inline bool is_per_cpu_hash(uint32_t type) {
  return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}
[[gnu::always_inline]] inline HashTable* hash_table(const MapCore* map) { return static_cast<HashTable*>(map->table); }
[[gnu::always_inline]] inline HashBucket* hash_bucket(const MapCore* map, uint64_t index) {
  return reinterpret_cast<HashBucket*>(hash_table(map) + 1) + index;
}

// Padded copies (per-CPU) keep to their own cache lines.
[[gnu::always_inline]] inline uint32_t hash_value_offset(const MapCore* map) {
  uint32_t size = static_cast<uint32_t>(sizeof(HashElement)) + round_up(map->key_size, 8);
  return map->slots > 1 && map->value_stride % 64 == 0 ? round_up(size, 64) : size;
}
// Small elements do not straddle cache lines.
[[gnu::always_inline]] inline uint64_t hash_element_stride(const MapCore* map) {
  uint64_t size = hash_value_offset(map) + static_cast<uint64_t>(map->slots) * map->value_stride;
  return size <= 32 ? 32 : size <= 64 ? 64 : size;
}
[[gnu::always_inline]] inline HashElement* hash_element(const MapCore* map, uint32_t reference) {
  return reinterpret_cast<HashElement*>(map->values + reference * hash_element_stride(map));
}
[[gnu::always_inline]] inline uint8_t* hash_key_of(HashElement* element) {
  return reinterpret_cast<uint8_t*>(element + 1);
}
[[gnu::always_inline]] inline uint8_t* hash_value_of(const MapCore* map, uint32_t reference, uint32_t slot) {
  return map->values + reference * hash_element_stride(map) + hash_value_offset(map) +
         static_cast<uint64_t>(slot) * map->value_stride;
}

inline constexpr uint32_t kQueueTries = 1000;

[[gnu::always_inline]] inline uint64_t counted(uint64_t previous, uint32_t reference) {
  return ((previous >> 32) + 1) << 32 | reference;
}
[[gnu::always_inline]] inline uint32_t reference_of(uint64_t link) { return static_cast<uint32_t>(link); }
[[gnu::always_inline]] inline uint64_t load_link(const uint64_t* link) { return __atomic_load_n(link, __ATOMIC_ACQUIRE); }
[[gnu::always_inline]] inline bool swap_link(uint64_t* link, uint64_t from, uint64_t to) {
  return __atomic_compare_exchange_n(link, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

// A free element, or 0: none now, or too much contention. The caller publishes it or gives it back.
inline uint32_t hash_take_free(const MapCore* map) {
  HashTable* table = hash_table(map);
  if (__atomic_load_n(&table->never_used, __ATOMIC_RELAXED) <= table->total) {
    uint64_t reference = __atomic_fetch_add(&table->never_used, 1, __ATOMIC_RELAXED);
    if (reference <= table->total) return static_cast<uint32_t>(reference);
  }
  for (uint32_t i = 0; i < kQueueTries; i++) {
    uint64_t head = load_link(&table->free_head);
    uint64_t tail = load_link(&table->free_tail);
    uint64_t next = load_link(&hash_element(map, reference_of(head))->free_link);
    if (head != load_link(&table->free_head)) continue;
    if (reference_of(head) == reference_of(tail)) {
      if (reference_of(next) == 0) return 0;
      swap_link(&table->free_tail, tail, counted(tail, reference_of(next)));
    } else if (reference_of(next) != 0 && swap_link(&table->free_head, head, counted(head, reference_of(next)))) {
      return reference_of(head);
    }
  }
  return 0;
}

// To the queue's tail. Each failed round is another writer's success, and writers are few: it ends.
inline void hash_give_free(const MapCore* map, uint32_t reference) {
  HashTable* table = hash_table(map);
  uint64_t* own = &hash_element(map, reference)->free_link;
  __atomic_store_n(own, counted(load_link(own), 0), __ATOMIC_RELEASE);
  for (;;) {
    uint64_t tail = load_link(&table->free_tail);
    uint64_t* last = &hash_element(map, reference_of(tail))->free_link;
    uint64_t next = load_link(last);
    if (tail != load_link(&table->free_tail)) continue;
    if (reference_of(next) != 0) {
      swap_link(&table->free_tail, tail, counted(tail, reference_of(next)));
    } else if (swap_link(last, next, counted(next, reference))) {
      swap_link(&table->free_tail, tail, counted(tail, reference));
      return;
    }
  }
}

}  // namespace sluice::bpf
