#include "bpf/maps/hash_recover.hpp"

#include <vector>

#include "bpf/maps/hash_ops.hpp"

namespace sluice::bpf {
namespace {

Status damaged(uint64_t bucket, uint32_t reference, const char* what) {
  return fail(EBADMSG, "bucket " + std::to_string(bucket) + ": element " +
                           std::to_string(reference) + " " + what);
}

class Recovery {
 public:
  explicit Recovery(const MapCore& core) : core_(core), table_(hash_table(&core)) {}

  Status run() {
    if (table_->never_used < 2)
      return fail(EBADMSG, "no element was ever used, not even the free list's own");
    // Each try above the end counts on.
    if (table_->never_used > table_->total + 1) table_->never_used = table_->total + 1;
    used_.assign(table_->never_used, false);
    for (uint64_t index = 0; index <= core_.bucket_mask; index++) {
      if (Status good = take_bucket(index); !good) return good;
    }
    if (live_ > core_.max_entries)
      return fail(EBADMSG, std::to_string(live_) + " elements in the map");
    table_->live = live_;
    chain_free();
    return {};
  }

 private:
  Status take_bucket(uint64_t index) {
    HashBucket* bucket = hash_bucket(&core_, index);
    bucket->sequence = 0;
    for (uint32_t lane = 0; lane < kLanes; lane++) {
      const uint64_t tag = bucket->tags[lane / 4] >> (16 * (lane % 4)) & 0xffff;
      if (tag == 0) continue;
      if (Status good = take(index, bucket->elements[lane], &tag); !good) return good;
    }
    // `used_` ends a list that bites its tail.
    for (uint32_t at = bucket->overflow; at != 0; at = hash_element(&core_, at)->next) {
      if (Status good = take(index, at, nullptr); !good) return good;
    }
    return {};
  }

  Status take(uint64_t index, uint32_t reference, const uint64_t* tag) {
    if (reference == 0 || reference >= used_.size())
      return damaged(index, reference, "does not exist");
    if (used_[reference]) return damaged(index, reference, "hangs in two places");
    const uint64_t hash =
        hash_of(&core_, key_for(&core_, hash_key_of(hash_element(&core_, reference))));
    if ((hash & core_.bucket_mask) != index || (tag != nullptr && tag_of(hash) != *tag)) {
      return damaged(index, reference, "has a key of another place");
    }
    used_[reference] = true;
    hash_element(&core_, reference)->used = kInMap;
    live_++;
    return {};
  }

  // The queue needs one element of its own, as dummy.
  void chain_free() {
    uint32_t last = 0;
    for (uint32_t reference = 1; reference < used_.size(); reference++) {
      if (used_[reference]) continue;
      hash_element(&core_, reference)->free_link = 0;
      hash_element(&core_, reference)->used = kNotInMap;
      if (last == 0) {
        table_->free_head = reference;
      } else {
        hash_element(&core_, last)->free_link = reference;
      }
      last = reference;
    }
    if (last == 0) {
      last = static_cast<uint32_t>(table_->never_used++);
      table_->free_head = last;
    }
    table_->free_tail = last;
  }

  const MapCore& core_;
  HashTable* table_;
  std::vector<bool> used_;  // by element: the map refers to it
  uint64_t live_ = 0;
};

}  // namespace

Status hash_recover(const MapCore& core) { return Recovery(core).run(); }

}  // namespace sluice::bpf
