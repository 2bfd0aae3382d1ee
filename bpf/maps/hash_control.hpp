// The control thread's side of the hash kinds, on a core and its table. One control thread at a
// time for what writes; it is patient where a program gives up, since a worker may share its core.
#pragma once

#include "bpf/maps/hash_ops.hpp"
#include "bpf/maps/map.hpp"
#include "bpf/maps/redo_slot.hpp"

namespace sluice::bpf {

bool lock_patiently(HashBucket* bucket);
// What `read` finds in a bucket that does not change meanwhile: unlocked as long as workers leave
// it the time, then under the lock. `busy`: that is not to be had.
template <class Result, class Read>
Result read_bucket(HashBucket* bucket, Result busy, Read read) {
  for (uint32_t i = 0; i < kReadTries; i++) {
    const uint32_t before = bucket_sequence(bucket);
    const Result result = read();
    if (bucket_sequence(bucket) == before) return result;
  }
  if (!lock_patiently(bucket)) return busy;
  const Result result = read();
  unlock(bucket);
  return result;
}
// Element's value as bpf(2) moves it. flags: BPF_F_LOCK (EBUSY).
int hash_read_value(const MapCore* core, uint32_t reference, void* value, uint64_t flags);
// Into an element nobody sees yet.
void hash_init_value(const MapCore* core, uint32_t reference, const void* value);
// BPF_F_LOCK: a present value is written in place, under its lock. ENOENT, EEXIST, EBUSY.
int hash_write_locked(const MapCore* core, RedoSlot& redo, HashKey key, const void* value,
                      uint64_t flags);
int hash_lookup_and_erase(const MapCore* core, HashKey key, void* value, uint64_t flags);
// Whole buckets; the token is the number of the next one.
int hash_lookup_batch(const MapCore* core, Batch& batch, bool and_erase);

}  // namespace sluice::bpf
