#include "bpf/maps/array_map.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <vector>

#include "base/limits.hpp"
#include "bpf/maps/array_copies.hpp"
#include "bpf/maps/array_ops.hpp"
#include "bpf/maps/map_checks.hpp"
#include "bpf/maps/map_memory.hpp"
#include "bpf/maps/map_store.hpp"
#include "bpf/maps/redo_slot.hpp"
#include "bpf/maps/spin_lock.hpp"

namespace sluice::bpf {
namespace {

class ArrayMap final : public Map {
 public:
  ArrayMap(const MapSpec& spec, const MapCore& core, MapMemory memory, RedoSlot redo)
      : Map(spec),
        memory_(std::move(memory)),
        redo_(std::move(redo)),
        may_have_copies_(ArrayCopies::allowed(core)) {
    core_ = core;
    core_.values = memory_.data();
  }

  // After a kill: an update that was whole is done to its end, and nobody holds a lock.
  Status recover() {
    if (may_have_copies_) {
      if (Status good = copies_.reopen(core_, *spec_.store); !good) return good;
    }
    uint32_t index;
    const uint8_t* value;
    if (redo_.pending(&index, &value)) {
      if (index < core_.max_entries) write(index, value, 0);
      redo_.end();
    }
    if (spec_.spin_lock_offset < 0) return {};
    const uint32_t lock = 0;
    for (uint64_t i = 0; i < core_.max_entries; i++) {
      std::memcpy(array_value(&core_, i, 0) + spec_.spin_lock_offset, &lock, sizeof lock);
    }
    return {};
  }

  using Map::lookup;
  int lookup(const void* key, void* value, uint64_t flags) override {
    if (int error = check_lock_flag(spec_, flags); error != 0) return error;
    uint32_t index = index_of(key);
    if (index >= core_.max_entries) return -ENOENT;
    if (!is_per_cpu(core_.type)) return read(index, value, flags);
    uint32_t size = round_up(core_.value_size, 8);
    for (uint32_t slot = 0; slot < core_.slots; slot++) {
      copy_out(static_cast<uint8_t*>(value) + slot * size, array_value(&core_, index, slot), size);
    }
    return 0;
  }

  int update(const void* key, const void* value, uint64_t flags) override {
    if (int error = check_lock_flag(spec_, flags & BPF_F_LOCK); error != 0) return error;
    if (long error = array_check_update(&core_, key, flags & ~uint64_t{BPF_F_LOCK}); error != 0) {
      return static_cast<int>(error);
    }
    const uint32_t index = index_of(key);
    const std::lock_guard one_writer(control_);
    std::vector<uint8_t> own;  // what the value is to be, without what the copies have
    if (copies_.has_fields()) {
      const auto* bytes = static_cast<const uint8_t*>(value);
      own.assign(bytes, bytes + core_.value_size);
      copies_.take_sums(index, own.data());
      value = own.data();
    }
    redo_.begin(index, value);
    const int error = write(index, value, flags);
    redo_.end();
    return error;
  }

  int erase(const void*) override { return -EINVAL; }

  void admit(const AddedFields& added) override {
    if (!may_have_copies_ || (added && added->empty())) return;
    const std::lock_guard one_at_a_time(admission_);
    if (!added || shared_ || !add_privately(*added)) share();
  }
  [[nodiscard]] bool waits_to_admit() const override { return copies_.adding(); }
  [[nodiscard]] PrivateCopies private_copies() const override {
    const std::lock_guard one_at_a_time(admission_);
    return copies_.view();
  }

  int next_key(const void* key, void* next) override {
    return next_index(key, core_.max_entries, next);
  }

  [[nodiscard]] uint64_t entries() const override { return core_.max_entries; }
  [[nodiscard]] uint64_t memory_bytes() const override {
    const std::lock_guard one_at_a_time(control_);
    return memory_.bytes() + copies_.bytes();
  }
  [[nodiscard]] FileLoss file_loss() const override {
    const std::lock_guard one_at_a_time(control_);
    return std::max(memory_.file_loss(), copies_.file_loss());
  }
  [[nodiscard]] int memory_file() const override {
    return (core_.flags & BPF_F_MMAPABLE) != 0 ? memory_.file() : -1;
  }
  [[nodiscard]] bool mapped_for_writing() const override {
    return memory_file() >= 0 && memory_.mapped_for_writing();
  }

 private:
  static uint32_t index_of(const void* key) {
    uint32_t index;
    std::memcpy(&index, key, sizeof index);
    return index;
  }

  int read(uint32_t index, void* value, uint64_t flags) {
    const uint8_t* storage = array_value(&core_, index, 0);
    if (!may_have_copies_) return read_value(&core_, storage, value, flags);
    const std::lock_guard one_at_a_time(control_);
    const int error = read_value(&core_, storage, value, flags);
    if (error == 0) copies_.add_sums(index, value);
    return error;
  }

  // False: it stays, or is to become, shared.
  bool add_privately(const std::vector<AddedField>& fields) {
    const std::lock_guard one_at_a_time(control_);
    if (!copies_.made() && !copies_.make(core_, spec_.store.get())) return false;
    if (!copies_.join(fields)) return false;
    copies_.start();
    return true;
  }

  // For good: stop, wait until no worker is in a burst that saw it otherwise, fold.
  void share() {
    shared_ = true;
    if (copies_.stop() && spec_.grace != nullptr) spec_.grace->wait();
    const std::lock_guard one_at_a_time(control_);
    copies_.fold();
  }

  int write(uint32_t index, const void* value, uint64_t flags) {
    if (!is_per_cpu(core_.type))
      return write_value(&core_, array_value(&core_, index, 0), value, flags);
    uint32_t size = round_up(core_.value_size, 8);
    for (uint32_t slot = 0; slot < core_.slots; slot++) {
      copy_in(array_value(&core_, index, slot), static_cast<const uint8_t*>(value) + slot * size,
              size);
    }
    return 0;
  }

  mutable std::mutex control_;    // control threads take turns; workers never touch it
  mutable std::mutex admission_;  // taken before control_, and kept while workers come to rest
  MapMemory memory_;
  RedoSlot redo_;
  const bool may_have_copies_;
  bool shared_ = false;  // somebody does more than adding
  ArrayCopies copies_;
};

Result<MapMemory> allocate_values(const MapSpec& spec, uint64_t bytes) {
  const bool shared = (spec.flags & BPF_F_MMAPABLE) != 0 && spec.store == nullptr;
  return shared ? MapMemory::allocate_shared(bytes)
                : MapMemory::allocate_in(spec.store.get(), "values", bytes, true);
}

// A value of one word is written by one store, and needs no more.
Result<RedoSlot> allocate_redo(const MapSpec& spec) {
  const uint32_t bytes =
      is_per_cpu(spec.type) ? spec.slots * round_up(spec.value_size, 8) : spec.value_size;
  if (spec.store == nullptr || bytes <= 8) return RedoSlot();
  return RedoSlot::open(*spec.store, bytes);
}

}  // namespace

Status check_array(const MapSpec& spec) {
  if (spec.key_size != 4)
    return fail(EINVAL, "key_size " + std::to_string(spec.key_size) + ", an array's is 4");
  if (spec.value_size == 0) return fail(EINVAL, "value_size 0");
  if (spec.value_size > INT32_MAX)
    return fail(E2BIG, "value_size " + std::to_string(spec.value_size));
  uint32_t plain =
      is_per_cpu(spec.type) ? 0u : static_cast<uint32_t>(BPF_F_MMAPABLE | BPF_F_INNER_MAP);
  if (Status good = check_flags(spec, plain | BPF_F_NUMA_NODE | kProgramAccess); !good) return good;
  return check_per_cpu(spec);
}

Result<std::shared_ptr<Map>> create_array(const MapSpec& spec) {
  MapCore core = core_of(spec);
  uint64_t element = static_cast<uint64_t>(core.slots) * core.value_stride;
  auto bytes = checked_bytes(spec, element);
  if (!bytes) return fail(std::move(bytes.error()));
  auto memory = allocate_values(spec, *bytes);
  if (!memory) return fail(std::move(memory.error()));
  auto redo = allocate_redo(spec);
  if (!redo) return fail(std::move(redo.error()));
  auto map = std::make_shared<ArrayMap>(spec, core, std::move(*memory), std::move(*redo));
  if (Status good = reopened(spec) ? map->recover() : Status(); !good) {
    return fail(std::move(good.error()));
  }
  return map;
}

}  // namespace sluice::bpf
