// The memory of a hash map. Shared by the binary and the JIT's bitcode.
//
// Buckets are cache lines of 8 tags and 8 element references; what does not fit hangs on a list
// through the elements, so max_entries elements always fit. An element never moves: a replaced
// value is a new element in the old one's lane. Readers take no lock. They check the bucket's
// sequence afterwards, since an element they looked at may have been freed and used again for
// another key; writers take the bucket's lock bit, which is the sequence's lowest.
//
// Elements are numbered from 1 (0 is none). Which are free: hash_free.hpp.
#pragma once

#include <linux/bpf.h>

#include <cstdint>

#include "bpf/maps/map_bytes.hpp"
#include "bpf/maps/map_core.hpp"

namespace sluice::bpf {

inline constexpr uint32_t kLanes = 8;

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
  // elements there are: max_entries, what writers may hold, the queue's dummy
  uint64_t total;
  alignas(64) uint64_t free_head;    // all writers: rw
  alignas(64) uint64_t free_tail;    // the same
  alignas(64) uint64_t never_used;   // next element never used yet
  alignas(64) uint64_t live;         // elements in the map that are told: hash_count.hpp
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
[[gnu::always_inline]] inline HashTable* hash_table(const MapCore* map) {
  return static_cast<HashTable*>(map->table);
}
[[gnu::always_inline]] inline HashBucket* hash_bucket(const MapCore* map, uint64_t index) {
  return reinterpret_cast<HashBucket*>(hash_table(map) + 1) + index;
}

[[gnu::always_inline]] inline HashElement* hash_element(const MapCore* map, uint32_t reference) {
  return reinterpret_cast<HashElement*>(map->values + reference * map->element_stride);
}
[[gnu::always_inline]] inline uint8_t* hash_key_of(HashElement* element) {
  return reinterpret_cast<uint8_t*>(element + 1);
}
[[gnu::always_inline]] inline uint8_t* hash_value_of(const MapCore* map, uint32_t reference,
                                                     uint32_t slot) {
  return map->values + reference * map->element_stride + map->value_offset +
         static_cast<uint64_t>(slot) * map->value_stride;
}

}  // namespace sluice::bpf
