// What a program's map access needs to know of a map. Plain data shared by the binary (g++) and the
// JIT's bitcode (clang): no virtual functions, no TLS, no standard containers. Constant after
// creation, at a stable address while the map lives, so the JIT copies it into a constant and the
// optimiser folds every field. Everything that changes lies behind `values` and `table`.
#pragma once

#include <cstdint>

namespace sluice::bpf {

struct MapCore {
  uint32_t type;          // enum bpf_map_type
  uint32_t key_size;      // bytes
  uint32_t value_size;    // bytes, as the user gave it
  // bytes from a value to the next: value_size rounded up to 8 (per-CPU: to 64 where it fits)
  uint32_t value_stride;
  uint32_t max_entries;
  uint32_t flags;         // BPF_F_*
  uint32_t slots;         // copies of each value: 1, or the per-CPU slots
  uint32_t bucket_mask;   // hash: buckets - 1
  // value of (index, slot): values + (index * slots + slot) * value_stride for array kinds
  uint8_t* values;
  // the type's own mutable part (hash: its buckets and free list), null for arrays
  void* table;
  uint64_t hash_key[2];   // hash: random key of this map, against collision attacks
  int32_t spin_lock_offset;  // of a struct bpf_spin_lock in the value; -1: none
  uint32_t hashes;        // bloom filter: hash functions
  void* magazines;        // hash: HashMagazine (hash_free.hpp) a worker, this process's; null: none
  uint32_t magazines_count;
  uint32_t magazine_capacity;  // elements in one
  uint64_t element_stride;  // hash: bytes from an element to the next
  uint32_t value_offset;    // hash: bytes from an element to its first value
};

// Instead of a worker's index: a thread that changes maps and is none.
inline constexpr uint32_t kNoWorker = UINT32_MAX;

}  // namespace sluice::bpf
