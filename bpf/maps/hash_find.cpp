#include "bpf/maps/hash_ops.hpp"

using namespace sluice::bpf;

extern "C" bool sluice_hash_lock_slowly(const MapCore* map, HashBucket* bucket, const void* key,
                                        uint64_t hash, HashPlace* place) {
  if (!try_lock(bucket)) return false;
  *place = hash_scan(map, bucket, key_for(map, key), hash);
  return true;
}

// After kReadTries of a bucket that never rests the last answer stands.
extern "C" uint32_t sluice_hash_find_slowly(const MapCore* map, HashBucket* bucket, const void* key,
                                            uint64_t hash) {
  uint32_t reference = 0;
  for (uint32_t i = 0; i < kReadTries; i++) {
    const uint32_t before = bucket_sequence(bucket);
    reference = hash_scan(map, bucket, key_for(map, key), hash).reference;
    if (__builtin_expect(bucket_sequence(bucket) == before, 1)) break;
  }
  return reference;
}
