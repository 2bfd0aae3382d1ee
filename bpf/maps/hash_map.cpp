#include "bpf/maps/hash_map.hpp"

#include <sched.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <vector>

#include "base/limits.hpp"
#include "bpf/maps/hash_control.hpp"
#include "bpf/maps/hash_recover.hpp"
#include "bpf/maps/map_checks.hpp"
#include "bpf/maps/map_memory.hpp"
#include "bpf/maps/map_store.hpp"
#include "bpf/maps/worker_count.hpp"

namespace sluice::bpf {
namespace {

constexpr uint64_t kMaxHashElement = 4u << 20;  // Linux: KMALLOC_MAX_SIZE
constexpr uint32_t kTakeRounds = 10000;

constexpr uint64_t kSpareMax = 1u << 20;

// Elements are also in writers' hands between taking and publishing: one a worker, one the control
// side's, one a test run's, and the queue's dummy.
constexpr uint64_t kOtherHolders = 3;

// What every worker may keep while the others still find a free element; the table may have been
// made on another machine.
uint32_t magazine_capacity(uint64_t max_entries, uint64_t total) {
  const uint64_t spare = total - max_entries;
  const uint64_t needed = worker_count() + kOtherHolders;
  return spare < needed ? 0
                        : static_cast<uint32_t>(
                              std::min<uint64_t>(kMagazineMax, (spare - needed) / worker_count()));
}

class HashMap final : public Map {
 public:
  HashMap(const MapSpec& spec, const MapCore& core, MapMemory table, MapMemory elements,
          RedoSlot redo)
      : Map(spec),
        table_(std::move(table)),
        elements_(std::move(elements)),
        redo_(std::move(redo)) {
    core_ = core;
    core_.table = table_.data();
    core_.values = elements_.data();
    core_.magazine_capacity = magazine_capacity(spec.max_entries, hash_table(&core_)->total);
    if (core_.magazine_capacity != 0) magazines_.resize(worker_count());
    core_.magazines = magazines_.data();
    core_.magazines_count = static_cast<uint32_t>(magazines_.size());
  }

  // The table as another process left it, in order again.
  Status recover() {
    if (Status good = hash_recover(core_); !good) return good;
    if (spec_.spin_lock_offset < 0) return {};
    uint32_t element;
    const uint8_t* value;
    if (redo_.pending(&element, &value)) {
      if (element < hash_table(&core_)->never_used)
        copy_value_in(&core_, hash_value_of(&core_, element, 0), value);
      redo_.end();
    }
    for (uint64_t reference = 1; reference < hash_table(&core_)->never_used; reference++) {
      const uint32_t lock = 0;
      std::memcpy(
          hash_value_of(&core_, static_cast<uint32_t>(reference), 0) + spec_.spin_lock_offset,
          &lock, sizeof lock);
    }
    return {};
  }

  using Map::lookup;
  int lookup(const void* key, void* value, uint64_t flags) override {
    if (int error = check_lock_flag(spec_, flags); error != 0) return error;
    const HashKey wanted = key_for(&core_, key);
    uint64_t hash = hash_of(&core_, wanted);
    HashBucket* bucket = bucket_of(&core_, hash);
    return read_bucket(bucket, -EBUSY, [&] {
      uint32_t reference = hash_scan(&core_, bucket, wanted, hash).reference;
      return reference == 0 ? -ENOENT : hash_read_value(&core_, reference, value, flags);
    });
  }

  int update(const void* given, const void* value, uint64_t flags) override {
    if ((flags & ~uint64_t{BPF_F_LOCK}) > BPF_EXIST) return -EINVAL;
    if (int error = check_lock_flag(spec_, flags & BPF_F_LOCK); error != 0) return error;
    std::lock_guard one_writer(control_);
    const HashKey key = key_for(&core_, given);
    if ((flags & BPF_F_LOCK) != 0) {
      flags &= ~uint64_t{BPF_F_LOCK};
      if (int error = hash_write_locked(&core_, redo_, key, value, flags); error != -ENOENT)
        return error;
    }
    if (!is_lru(core_.type)) return put(key, value, flags);
    return static_cast<int>(
        lru_update(&core_, key, flags, kNoWorker, [&] { return put(key, value, flags); }));
  }

  int erase(const void* given) override {
    std::lock_guard one_writer(control_);
    const HashKey key = key_for(&core_, given);
    uint64_t hash = hash_of(&core_, key);
    HashBucket* bucket = bucket_of(&core_, hash);
    if (!lock_patiently(bucket)) return -EBUSY;
    uint32_t reference = hash_remove(&core_, bucket, key, hash);
    unlock(bucket);
    if (reference == 0) return -ENOENT;
    hash_release(&core_, reference, kNoWorker);
    return 0;
  }

  int lookup_and_erase(const void* key, void* value, uint64_t flags) override {
    if (int error = check_lock_flag(spec_, flags); error != 0) return error;
    std::lock_guard one_writer(control_);
    return hash_lookup_and_erase(&core_, key_for(&core_, key), value, flags);
  }

  int lookup_batch(Batch& batch, bool and_erase) override {
    if (int error = check_lock_flag(spec_, batch.element_flags); error != 0) {
      batch.count = 0;
      return error;
    }
    std::unique_lock one_writer(control_, std::defer_lock);
    if (and_erase) one_writer.lock();
    return hash_lookup_batch(&core_, batch, and_erase);
  }
  [[nodiscard]] uint32_t batch_token_size() const override { return sizeof(uint32_t); }

  int next_key(const void* key, void* next) override {
    uint64_t index = 0;
    if (key != nullptr) {
      const HashKey last = key_for(&core_, key);
      uint64_t hash = hash_of(&core_, last);
      Step step = step_in(bucket_of(&core_, hash), last, hash, next);
      if (step == Step::found) return 0;
      if (step == Step::busy) return -EBUSY;
      if (step == Step::end) index = (hash & core_.bucket_mask) + 1;
    }
    for (; index <= core_.bucket_mask; index++) {
      const Step step = step_in(hash_bucket(&core_, index), {}, 0, next);
      if (step == Step::found) return 0;
      if (step == Step::busy) return -EBUSY;
    }
    return -ENOENT;
  }

  [[nodiscard]] uint64_t entries() const override { return hash_count(&core_); }
  [[nodiscard]] uint64_t full_errors() const override {
    return __atomic_load_n(&hash_table(&core_)->full_errors, __ATOMIC_RELAXED);
  }
  [[nodiscard]] uint64_t memory_bytes() const override {
    return table_.bytes() + elements_.bytes();
  }
  [[nodiscard]] FileLoss file_loss() const override {
    return std::max(table_.file_loss(), elements_.file_loss());
  }

 private:
  // absent: the key to go on from is not in the bucket
  enum class Step { found, end, absent, busy };

  int put(HashKey key, const void* value, uint64_t flags) {
    uint64_t hash = hash_of(&core_, key);
    HashBucket* bucket = bucket_of(&core_, hash);
    uint32_t reference = take_free();
    if (reference == 0) return -EBUSY;
    copy_in(hash_key_of(hash_element(&core_, reference)), key.bytes, key.size);
    hash_init_value(&core_, reference, value);
    uint32_t leftover = reference;
    long error = -EBUSY;
    if (lock_patiently(bucket)) {
      error = hash_publish(&core_, bucket, hash_scan(&core_, bucket, key, hash), hash, reference,
                           flags, kNoWorker, &leftover);
      unlock(bucket);
    }
    if (leftover != 0) hash_give_free(&core_, leftover, kNoWorker);
    return static_cast<int>(error);
  }

  // Workers interrupted in an update may hold the spare elements for a moment.
  uint32_t take_free() const {
    for (uint32_t i = 0; i < kTakeRounds; i++) {
      if (uint32_t reference = hash_take_free(&core_, kNoWorker); reference != 0) return reference;
      sched_yield();
    }
    return 0;
  }

  // Copies out the key after `key` (no bytes: the first) in bucket order, from a moment when the
  // bucket did not change.
  Step step_in(HashBucket* bucket, HashKey key, uint64_t hash, void* next) const {
    return read_bucket(bucket, Step::busy, [&] {
      HashPlace place;
      if (key.bytes != nullptr) place = hash_scan(&core_, bucket, key, hash);
      Step step = Step::absent;
      if (key.bytes == nullptr || place.reference != 0) {
        uint32_t reference = following(bucket, place);
        if (reference != 0)
          copy_out(next, hash_key_of(hash_element(&core_, reference)), core_.key_size);
        step = reference != 0 ? Step::found : Step::end;
      }
      return step;
    });
  }

  // Order: the lanes, then the list. A place without reference is before the first.
  uint32_t following(HashBucket* bucket, const HashPlace& place) const {
    if (place.reference != 0 && place.lane == kLanes) {
      return load_reference(&hash_element(&core_, place.reference)->next);
    }
    for (uint32_t lane = place.reference == 0 ? 0 : place.lane + 1; lane < kLanes; lane++) {
      uint64_t tags = __atomic_load_n(&bucket->tags[lane / 4], __ATOMIC_ACQUIRE);
      if ((tags >> (16 * (lane % 4)) & 0xffff) != 0) return load_reference(&bucket->elements[lane]);
    }
    return load_reference(&bucket->overflow);
  }

  std::mutex control_;  // control threads take turns as one writer; workers never touch it
  MapMemory table_;
  MapMemory elements_;
  std::vector<HashMagazine> magazines_;  // by worker; each touched by that one alone
  RedoSlot redo_;  // for updates in place (BPF_F_LOCK)
};

Status start_table(const MapSpec& spec, HashTable* table) {
  // Full magazines are an eighth of the map at most.
  const uint64_t in_magazines =
      std::min<uint64_t>(kMagazineMax, spec.max_entries / (8ull * worker_count())) * worker_count();
  table->total = spec.max_entries + in_magazines + worker_count() + kOtherHolders;
  table->free_head = table->free_tail = 1;                 // element 1 is the queue's first dummy
  table->never_used = 2;
  return choose_hash_key(spec, table->hash_key);
}

// The number of elements was another machine's choice, within reason.
Status check_table(const MapSpec& spec, const HashTable& table) {
  if (table.total >= spec.max_entries + 2ull && table.total <= spec.max_entries + kSpareMax)
    return {};
  return fail(EBADMSG, std::to_string(table.total) + " elements for max_entries " +
                           std::to_string(spec.max_entries));
}

// Padded copies (per-CPU) keep to their own cache lines; small elements do not straddle them.
void lay_out_element(MapCore* core) {
  const bool padded = core->slots > 1 && core->value_stride % 64 == 0;
  core->value_offset = round_up(sizeof(HashElement) + round_up(core->key_size, 8), padded ? 64 : 8);
  const uint64_t size = core->value_offset + uint64_t{core->slots} * core->value_stride;
  core->element_stride = size <= 32 ? 32 : size <= 64 ? 64 : size;
}

Result<RedoSlot> allocate_redo(const MapSpec& spec) {
  if (spec.store == nullptr || spec.spin_lock_offset < 0) return RedoSlot();
  return RedoSlot::open(*spec.store, spec.value_size);
}

}  // namespace

Status check_hash(const MapSpec& spec) {
  const bool lru = is_lru(spec.type);
  if (lru && (spec.flags & BPF_F_NO_PREALLOC) != 0)
    return fail(kNotSupported, "map_flags: BPF_F_NO_PREALLOC on an LRU map");
  if (spec.key_size == 0) return fail(EINVAL, "key_size 0");
  if (spec.value_size == 0) return fail(EINVAL, "value_size 0");
  if (static_cast<uint64_t>(spec.key_size) + spec.value_size >
      kMaxHashElement - sizeof(HashElement)) {
    return fail(E2BIG, "value_size " + std::to_string(spec.value_size) +
                           ", with the key more than " + std::to_string(kMaxHashElement) +
                           " bytes");
  }
  const uint32_t own = lru ? BPF_F_NO_COMMON_LRU : BPF_F_NO_PREALLOC;
  if (Status good = check_flags(spec, own | BPF_F_ZERO_SEED | BPF_F_NUMA_NODE | kProgramAccess);
      !good)
    return good;
  return check_per_cpu(spec);
}

Result<std::shared_ptr<Map>> create_hash(const MapSpec& spec) {
  MapCore core = core_of(spec);
  lay_out_element(&core);
  // 2 to 4 elements a bucket when full: about one bucket in fifty overflows.
  uint32_t buckets = std::bit_ceil((spec.max_entries + kLanes / 2 - 1) / (kLanes / 2));
  core.bucket_mask = buckets - 1;

  const bool recovered = spec.store != nullptr && !spec.store->fresh();
  const bool fault_in = (spec.flags & BPF_F_NO_PREALLOC) == 0;
  if (auto checked = checked_bytes(spec, core.element_stride); !checked)
    return fail(std::move(checked.error()));
  const uint64_t table_bytes =
      sizeof(HashTable) + static_cast<uint64_t>(buckets) * sizeof(HashBucket);
  auto memory = MapMemory::allocate_in(spec.store.get(), "table", table_bytes, fault_in);
  if (!memory) return fail(std::move(memory.error()));
  auto* table = reinterpret_cast<HashTable*>(memory->data());
  if (Status good = recovered ? check_table(spec, *table) : start_table(spec, table); !good) {
    return fail(std::move(good.error()));
  }
  core.hash_key[0] = table->hash_key[0];
  core.hash_key[1] = table->hash_key[1];
  auto elements = MapMemory::allocate_in(spec.store.get(), "values",
                                         (table->total + 1) * core.element_stride, fault_in);
  if (!elements) return fail(std::move(elements.error()));
  auto redo = allocate_redo(spec);
  if (!redo) return fail(std::move(redo.error()));
  auto map = std::make_shared<HashMap>(spec, core, std::move(*memory), std::move(*elements),
                                       std::move(*redo));
  if (Status good = recovered ? map->recover() : Status(); !good)
    return fail(std::move(good.error()));
  return map;
}

}  // namespace sluice::bpf
