#include "bpf/maps/target_map.hpp"

#include <sched.h>
#include <unistd.h>

#include <cstring>
#include <mutex>

#include "bpf/maps/hash_map.hpp"
#include "bpf/maps/map_bytes.hpp"
#include "bpf/maps/map_checks.hpp"
#include "bpf/maps/map_memory.hpp"
#include "bpf/maps/map_store.hpp"
#include "bpf/maps/target_ops.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kMaxCpus = 64;             // the least NR_CPUS a distribution's kernel has
constexpr uint32_t kMaxQueue = 16384;         // Linux: cpumap's qsize
constexpr uint32_t kShort = 4, kLong = 8;     // values without and with a program

// struct bpf_devmap_val and struct bpf_cpumap_val have the same layout.
struct Target {
  uint32_t id;         // interface index, or queue size
  int32_t program_fd;  // in; out: its id
};

Target target_of(const void* value, uint32_t size) {
  Target target{};
  std::memcpy(&target, value, size);
  return target;
}

int check_device(const Target& target) {
  return target.program_fd > 0 ? -EINVAL : 0;
}

int check_cpu(const Target& target, uint32_t cpu) {
  if (target.id > kMaxQueue) return -EOVERFLOW;
  if (cpu >= static_cast<uint32_t>(sysconf(_SC_NPROCESSORS_CONF))) return -ENODEV;
  return target.id != 0 && target.program_fd > 0 ? -EINVAL : 0;
}

class TargetArray final : public Map {
 public:
  TargetArray(const MapSpec& spec, const MapCore& core, MapMemory memory)
      : Map(spec), memory_(std::move(memory)) {
    core_ = core;
    core_.values = memory_.data();
  }

  using Map::lookup;
  int lookup(const void* key, void* value, uint64_t flags) override {
    if (flags != 0) return -EINVAL;
    const void* found = target_lookup(&core_, key);
    if (found == nullptr) return -ENOENT;
    copy_out(value, found, core_.value_size);
    return 0;
  }

  int update(const void* key, const void* value, uint64_t flags) override {
    const uint32_t index = index_of(key);
    if (flags > BPF_EXIST) return -EINVAL;
    if (index >= core_.max_entries) return -E2BIG;
    if (flags == BPF_NOEXIST) return -EEXIST;
    const Target target = target_of(value, core_.value_size);
    const bool device = core_.type == BPF_MAP_TYPE_DEVMAP;
    if (int error = device ? check_device(target) : check_cpu(target, index); error != 0)
      return error;
    store(index, {target.id, 0});
    return 0;
  }

  int erase(const void* key) override {
    const uint32_t index = index_of(key);
    if (index >= core_.max_entries) return -EINVAL;
    store(index, {});
    return 0;
  }

  int next_key(const void* key, void* next) override {
    return next_index(key, core_.max_entries, next);
  }
  [[nodiscard]] uint64_t entries() const override {
    uint64_t count = 0;
    for (uint32_t index = 0; index < core_.max_entries; index++)
      count += target_lookup(&core_, &index) != nullptr;
    return count;
  }
  [[nodiscard]] uint64_t memory_bytes() const override { return memory_.bytes(); }
  [[nodiscard]] FileLoss file_loss() const override { return memory_.file_loss(); }

 private:
  static uint32_t index_of(const void* key) {
    uint32_t index;
    std::memcpy(&index, key, sizeof index);
    return index;
  }
  void store(uint32_t index, Target target) {
    copy_in(core_.values + uint64_t{index} * kLong, &target, kLong);
  }

  MapMemory memory_;
};

// A hash map with devmap's rules for what goes in.
class DevmapHash final : public Map {
 public:
  DevmapHash(const MapSpec& spec, std::shared_ptr<Map> hash) : Map(spec), hash_(std::move(hash)) {
    core_ = hash_->core();
    core_.type = spec.type;
    core_.flags = spec.flags;
  }

  using Map::lookup;
  int lookup(const void* key, void* value, uint64_t flags) override {
    return hash_->lookup(key, value, flags);
  }
  // As in Linux, BPF_EXIST does not ask for a present one.
  int update(const void* key, const void* value, uint64_t flags) override {
    const Target target = target_of(value, spec_.value_size);
    if (flags > BPF_EXIST || target.id == 0) return -EINVAL;
    if (int error = check_device(target); error != 0) return error;
    const Target stored{target.id, 0};
    return hash_->update(key, &stored, flags == BPF_NOEXIST ? BPF_NOEXIST : BPF_ANY);
  }
  int erase(const void* key) override { return hash_->erase(key); }
  int next_key(const void* key, void* next) override { return hash_->next_key(key, next); }
  [[nodiscard]] uint64_t entries() const override { return hash_->entries(); }
  [[nodiscard]] uint64_t full_errors() const override { return hash_->full_errors(); }
  [[nodiscard]] uint64_t memory_bytes() const override { return hash_->memory_bytes(); }
  [[nodiscard]] FileLoss file_loss() const override { return hash_->file_loss(); }

 private:
  std::shared_ptr<Map> hash_;
};

Status check_target_shape(const MapSpec& spec) {
  if (spec.key_size != 4)
    return fail(EINVAL, "key_size " + std::to_string(spec.key_size) + ", not 4");
  if (spec.value_size != kShort && spec.value_size != kLong) {
    return fail(EINVAL, "value_size " + std::to_string(spec.value_size) + ", not 4 or 8");
  }
  return {};
}

}  // namespace

Status check_devmap(const MapSpec& spec) {
  if (Status good = check_target_shape(spec); !good) return good;
  // What creation adds, a map that comes back from its file has already.
  return check_flags(spec, BPF_F_NUMA_NODE | (reopened(spec) ? BPF_F_RDONLY_PROG : 0));
}

Status check_cpumap(const MapSpec& spec) {
  if (Status good = check_target_shape(spec); !good) return good;
  if (spec.max_entries > kMaxCpus)
    return fail(E2BIG, "max_entries " + std::to_string(spec.max_entries) + ", more than CPUs");
  if ((spec.flags & (BPF_F_RDONLY | BPF_F_WRONLY)) != 0)
    return fail(EINVAL, "map_flags: access to a cpumap");
  return check_flags(spec, BPF_F_NUMA_NODE);
}

// Programs may look a device up, never write it: its flags say so, as in Linux.
Result<std::shared_ptr<Map>> create_target_array(const MapSpec& asked) {
  MapSpec spec = asked;
  if (spec.type == BPF_MAP_TYPE_DEVMAP) spec.flags |= BPF_F_RDONLY_PROG;
  MapCore core = core_of(spec);
  core.value_stride = kLong;
  auto bytes = checked_bytes(spec, kLong);
  if (!bytes) return fail(std::move(bytes.error()));
  auto memory = MapMemory::allocate_in(spec.store.get(), "values", *bytes, true);
  if (!memory) return fail(std::move(memory.error()));
  return std::make_shared<TargetArray>(spec, core, std::move(*memory));
}

Result<std::shared_ptr<Map>> create_devmap_hash(const MapSpec& asked) {
  MapSpec hash = asked;
  hash.type = BPF_MAP_TYPE_HASH;
  auto made = create_hash(hash);
  if (!made) return made;
  MapSpec spec = asked;
  spec.flags |= BPF_F_RDONLY_PROG;
  return std::make_shared<DevmapHash>(spec, std::move(*made));
}

}  // namespace sluice::bpf
