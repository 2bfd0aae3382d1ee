#include "bpf/maps/array_map.hpp"

#include <cstring>
#include <mutex>

#include "base/limits.hpp"
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
      : Map(spec), memory_(std::move(memory)), redo_(std::move(redo)) {
    core_ = core;
    core_.values = memory_.data();
  }

  // After a kill: an update that was whole is done to its end, and nobody holds a lock.
  void recover() {
    uint32_t index;
    const uint8_t* value;
    if (redo_.pending(&index, &value)) {
      if (index < core_.max_entries) write(index, value, 0);
      redo_.end();
    }
    if (spec_.spin_lock_offset < 0) return;
    const uint32_t lock = 0;
    for (uint64_t i = 0; i < core_.max_entries; i++) {
      std::memcpy(array_value(&core_, i, 0) + spec_.spin_lock_offset, &lock, sizeof lock);
    }
  }

  using Map::lookup;
  int lookup(const void* key, void* value, uint64_t flags) override {
    if (int error = check_lock_flag(spec_, flags); error != 0) return error;
    uint32_t index = index_of(key);
    if (index >= core_.max_entries) return -ENOENT;
    if (!is_per_cpu(core_.type)) return read_value(&core_, array_value(&core_, index, 0), value, flags);
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
    const std::lock_guard one_writer(control_);
    redo_.begin(index_of(key), value);
    const int error = write(index_of(key), value, flags);
    redo_.end();
    return error;
  }

  int erase(const void*) override { return -EINVAL; }

  int next_key(const void* key, void* next) override { return next_index(key, core_.max_entries, next); }

  [[nodiscard]] uint64_t entries() const override { return core_.max_entries; }
  [[nodiscard]] uint64_t memory_bytes() const override { return memory_.bytes(); }
  [[nodiscard]] bool broken() const override { return memory_.broken(); }
  [[nodiscard]] int memory_file() const override {
    return (core_.flags & BPF_F_MMAPABLE) != 0 ? memory_.file() : -1;
  }
  [[nodiscard]] bool mapped_for_writing() const override { return memory_file() >= 0 && memory_.mapped_for_writing(); }

 private:
  static uint32_t index_of(const void* key) {
    uint32_t index;
    std::memcpy(&index, key, sizeof index);
    return index;
  }

  int write(uint32_t index, const void* value, uint64_t flags) {
    if (!is_per_cpu(core_.type)) return write_value(&core_, array_value(&core_, index, 0), value, flags);
    uint32_t size = round_up(core_.value_size, 8);
    for (uint32_t slot = 0; slot < core_.slots; slot++) {
      copy_in(array_value(&core_, index, slot), static_cast<const uint8_t*>(value) + slot * size, size);
    }
    return 0;
  }

  std::mutex control_;  // control threads take turns; workers never touch it
  MapMemory memory_;
  RedoSlot redo_;
};

Result<MapMemory> allocate_values(const MapSpec& spec, uint64_t bytes) {
  const bool shared = (spec.flags & BPF_F_MMAPABLE) != 0 && spec.store == nullptr;
  return shared ? MapMemory::allocate_shared(bytes) : MapMemory::allocate_in(spec.store.get(), "values", bytes, true);
}

// A value of one word is written by one store, and needs no more.
Result<RedoSlot> allocate_redo(const MapSpec& spec) {
  const uint32_t bytes = is_per_cpu(spec.type) ? spec.slots * round_up(spec.value_size, 8) : spec.value_size;
  if (spec.store == nullptr || bytes <= 8) return RedoSlot();
  return RedoSlot::open(*spec.store, bytes);
}

}  // namespace

Status check_array(const MapSpec& spec) {
  if (spec.key_size != 4) return fail(EINVAL, "key_size " + std::to_string(spec.key_size) + ", an array's is 4");
  if (spec.value_size == 0) return fail(EINVAL, "value_size 0");
  if (spec.value_size > INT32_MAX) return fail(E2BIG, "value_size " + std::to_string(spec.value_size));
  uint32_t plain = is_per_cpu(spec.type) ? 0u : static_cast<uint32_t>(BPF_F_MMAPABLE | BPF_F_INNER_MAP);
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
  if (spec.store != nullptr && !spec.store->fresh()) map->recover();
  return map;
}

}  // namespace sluice::bpf
