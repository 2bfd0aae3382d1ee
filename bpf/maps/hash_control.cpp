#include "bpf/maps/hash_control.hpp"

#include <sched.h>

#include <cstring>
#include <vector>

#include "bpf/maps/spin_lock.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kControlLockRounds = 10000;

// The references in a bucket, at most `room` and one more. The caller holds the lock or checks the
// sequence.
void references_in(const MapCore* core, HashBucket* bucket, size_t room,
                   std::vector<uint32_t>& references) {
  references.clear();
  for (uint32_t lane = 0; lane < kLanes; lane++) {
    const uint64_t tags = __atomic_load_n(&bucket->tags[lane / 4], __ATOMIC_ACQUIRE);
    if ((tags >> (16 * (lane % 4)) & 0xffff) != 0)
      references.push_back(load_reference(&bucket->elements[lane]));
  }
  uint32_t reference = load_reference(&bucket->overflow);
  for (; reference != 0 && references.size() <= room;
       reference = load_reference(&hash_element(core, reference)->next)) {
    references.push_back(reference);
  }
}

struct BatchWriter {
  const MapCore* core;
  Batch& batch;
  uint32_t room;
  uint32_t value_size;

  int put(const std::vector<uint32_t>& references, uint64_t flags) {
    uint32_t at = batch.count;
    for (uint32_t reference : references) {
      copy_out(static_cast<uint8_t*>(batch.keys) + size_t{at} * core->key_size,
               hash_key_of(hash_element(core, reference)), core->key_size);
      auto* value = static_cast<uint8_t*>(batch.values) + size_t{at} * value_size;
      if (int error = hash_read_value(core, reference, value, flags); error != 0)
        return error;
      at++;
    }
    return 0;
  }

  // Erased is erased: a value whose bpf_spin_lock a program does not let go of is copied as it is.
  int put_erased(const std::vector<uint32_t>& references) {
    const int error = put(references, batch.element_flags);
    return error == -EBUSY ? put(references, batch.element_flags & ~uint64_t{BPF_F_LOCK}) : error;
  }

  // A copy from a moment when the bucket did not change.
  int copy(HashBucket* bucket, std::vector<uint32_t>& references) {
    return read_bucket(bucket, -EBUSY, [&] {
      references_in(core, bucket, room - batch.count, references);
      const bool fits = references.size() <= room - batch.count;
      return fits ? put(references, batch.element_flags) : -ENOSPC;
    });
  }

  // Emptied first, then copied: until they are given back the elements are this thread's.
  int take(HashBucket* bucket, std::vector<uint32_t>& references) {
    if (!lock_patiently(bucket)) return -EBUSY;
    references_in(core, bucket, room - batch.count, references);
    const bool fits = references.size() <= room - batch.count;
    if (fits) {
      for (uint64_t& tags : bucket->tags) __atomic_store_n(&tags, 0, __ATOMIC_RELEASE);
      store_reference(&bucket->overflow, 0);
      for (uint32_t reference : references) {
        if (is_lru(core->type)) mark_use(core, reference, kNotInMap);
      }
    }
    unlock(bucket);
    if (!fits) return -ENOSPC;
    const int error = put_erased(references);
    for (uint32_t reference : references) hash_release(core, reference, kNoWorker);
    return error;
  }
};

}  // namespace

// A worker that holds the bit may share this thread's core: let it run.
bool lock_patiently(HashBucket* bucket) {
  for (uint32_t i = 0; i < kControlLockRounds; i++) {
    if (try_lock(bucket)) return true;
    sched_yield();
  }
  return false;
}

int hash_read_value(const MapCore* core, uint32_t reference, void* value, uint64_t flags) {
  if (!is_per_cpu(core->type))
    return read_value(core, hash_value_of(core, reference, 0), value, flags);
  const uint32_t size = round_up(core->value_size, 8);
  for (uint32_t slot = 0; slot < core->slots; slot++) {
    copy_out(static_cast<uint8_t*>(value) + size_t{slot} * size,
             hash_value_of(core, reference, slot), size);
  }
  return 0;
}

void hash_init_value(const MapCore* core, uint32_t reference, const void* value) {
  if (!is_per_cpu(core->type)) return init_value(core, hash_value_of(core, reference, 0), value);
  const uint32_t size = round_up(core->value_size, 8);
  for (uint32_t slot = 0; slot < core->slots; slot++) {
    copy_in(hash_value_of(core, reference, slot),
            static_cast<const uint8_t*>(value) + size_t{slot} * size, size);
  }
}

int hash_write_locked(const MapCore* core, RedoSlot& redo, HashKey key, const void* value,
                      uint64_t flags) {
  const uint64_t hash = hash_of(core, key);
  HashBucket* bucket = bucket_of(core, hash);
  if (!lock_patiently(bucket)) return -EBUSY;
  const uint32_t present = hash_scan(core, bucket, key, hash).reference;
  int error = -ENOENT;
  if (present != 0 && (flags & BPF_NOEXIST) != 0) {
    error = -EEXIST;
  } else if (present != 0) {
    redo.begin(present, value);
    error = write_value(core, hash_value_of(core, present, 0), value, BPF_F_LOCK);
    redo.end();
  }
  unlock(bucket);
  return error;
}

int hash_lookup_and_erase(const MapCore* core, HashKey key, void* value, uint64_t flags) {
  const uint64_t hash = hash_of(core, key);
  HashBucket* bucket = bucket_of(core, hash);
  if (!lock_patiently(bucket)) return -EBUSY;
  const uint32_t reference = hash_remove(core, bucket, key, hash);
  unlock(bucket);
  if (reference == 0) return -ENOENT;
  // Erased is erased: a value whose bpf_spin_lock a program does not let go of is copied as it is.
  if (hash_read_value(core, reference, value, flags) != 0)
    (void)hash_read_value(core, reference, value, flags & ~uint64_t{BPF_F_LOCK});
  hash_release(core, reference, kNoWorker);
  return 0;
}

int hash_lookup_batch(const MapCore* core, Batch& batch, bool and_erase) {
  const uint32_t value_size =
      is_per_cpu(core->type) ? core->slots * round_up(core->value_size, 8) : core->value_size;
  BatchWriter writer{core, batch, batch.count, value_size};
  batch.count = 0;
  uint32_t index = 0;
  if (batch.in != nullptr) std::memcpy(&index, batch.in, sizeof index);
  if (index > core->bucket_mask) return -ENOENT;
  std::vector<uint32_t> references;
  int error = 0;
  for (; index <= core->bucket_mask; index++) {
    HashBucket* bucket = hash_bucket(core, index);
    error = and_erase ? writer.take(bucket, references) : writer.copy(bucket, references);
    if (error != 0) break;
    batch.count += static_cast<uint32_t>(references.size());
  }
  std::memcpy(batch.out, &index, sizeof index);
  if (error == 0) return -ENOENT;
  return error == -ENOSPC && batch.count > 0 ? 0 : error;
}

}  // namespace sluice::bpf
