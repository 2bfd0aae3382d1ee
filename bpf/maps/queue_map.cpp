#include "bpf/maps/queue_map.hpp"

#include "base/limits.hpp"
#include "bpf/maps/map_checks.hpp"
#include "bpf/maps/map_memory.hpp"
#include "bpf/maps/map_store.hpp"
#include "bpf/maps/queue_ops.hpp"
#include "bpf/maps/spin_lock.hpp"

namespace sluice::bpf {
namespace {

class QueueMap final : public Map {
 public:
  QueueMap(const MapSpec& spec, const MapCore& core, MapMemory memory)
      : Map(spec), memory_(std::move(memory)) {
    core_ = core;
    core_.table = memory_.data();
    core_.values = memory_.data() + sizeof(QueueTable);
  }

  // As another process left it.
  Status recover() {
    table()->lock = 0;
    const QueueState state = queue_state(&core_);
    if (state.oldest <= core_.max_entries && state.count <= core_.max_entries) return {};
    return fail(EBADMSG, std::to_string(state.count) + " elements from place " +
                             std::to_string(state.oldest) + " on");
  }

  using Map::lookup;
  int lookup(const void* key, void* value, uint64_t flags) override {
    return take(key, value, flags, false);
  }
  int lookup_and_erase(const void* key, void* value, uint64_t flags) override {
    return take(key, value, flags, true);
  }

  int update(const void* key, const void* value, uint64_t flags) override {
    if (key != nullptr) return -EINVAL;
    if (long error = queue_check_push(flags); error != 0) return static_cast<int>(error);
    if (!spin_lock_patiently(&table()->lock)) return -EBUSY;
    const long error = queue_put(&core_, value, flags);
    spin_unlock(&table()->lock);
    return static_cast<int>(error);
  }

  int erase(const void*) override { return -EINVAL; }
  int next_key(const void*, void*) override { return -EINVAL; }

  [[nodiscard]] uint64_t entries() const override { return queue_count(&core_); }
  [[nodiscard]] uint64_t full_errors() const override {
    return __atomic_load_n(&table()->full_errors, __ATOMIC_RELAXED);
  }
  [[nodiscard]] uint64_t memory_bytes() const override { return memory_.bytes(); }
  [[nodiscard]] FileLoss file_loss() const override { return memory_.file_loss(); }

 private:
  [[nodiscard]] QueueTable* table() const { return queue_table(&core_); }

  int take(const void* key, void* value, uint64_t flags, bool remove) {
    if (key != nullptr || flags != 0) return -EINVAL;
    if (!spin_lock_patiently(&table()->lock)) return -EBUSY;
    const long error = queue_get(&core_, value, remove);
    spin_unlock(&table()->lock);
    return static_cast<int>(error);
  }

  MapMemory memory_;
};

}  // namespace

Status check_queue(const MapSpec& spec) {
  if (Status good = check_keyless(spec); !good) return good;
  if (spec.value_size == 0) return fail(EINVAL, "value_size 0");
  if (spec.value_size > kMaxValueSize) {
    return fail(E2BIG, "value_size " + std::to_string(spec.value_size) + ", more than " +
                           std::to_string(kMaxValueSize));
  }
  return check_flags(spec, BPF_F_NUMA_NODE | kProgramAccess);
}

Result<std::shared_ptr<Map>> create_queue(const MapSpec& spec) {
  MapCore core = core_of(spec);
  auto bytes = checked_bytes(spec, core.value_stride);
  if (!bytes) return fail(std::move(bytes.error()));
  auto memory = MapMemory::allocate_in(spec.store.get(), "values",
                                       sizeof(QueueTable) + *bytes + core.value_stride, true);
  if (!memory) return fail(std::move(memory.error()));
  auto map = std::make_shared<QueueMap>(spec, core, std::move(*memory));
  if (Status good = reopened(spec) ? map->recover() : Status(); !good)
    return fail(std::move(good.error()));
  return map;
}

}  // namespace sluice::bpf
