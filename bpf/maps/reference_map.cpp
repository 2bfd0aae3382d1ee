#include "bpf/maps/reference_map.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <vector>

#include "base/futex.hpp"
#include "base/limits.hpp"
#include "base/unique_fd.hpp"
#include "bpf/maps/inner_map.hpp"
#include "bpf/maps/kept_references.hpp"
#include "bpf/maps/map_checks.hpp"
#include "bpf/maps/map_memory.hpp"
#include "bpf/maps/map_store.hpp"
#include "bpf/maps/perf_ring.hpp"
#include "bpf/maps/reference_ops.hpp"

namespace sluice::bpf {
namespace {

uint32_t index_of(const void* key) {
  uint32_t index;
  std::memcpy(&index, key, sizeof index);
  return index;
}

class ReferenceArray final : public Map {
 public:
  ReferenceArray(const MapSpec& spec, const MapCore& core, MapMemory memory,
                 std::shared_ptr<Map> kept)
      : Map(spec),
        memory_(std::move(memory)),
        kept_(std::move(kept)),
        references_(spec.max_entries) {
    core_ = core;
    core_.values = memory_.data();
  }

  ~ReferenceArray() override {
    for (MapReference& old : references_) retire(std::move(old));
  }

  using Map::lookup;
  int lookup(const void* key, void* value, uint64_t flags) override {
    if (flags != 0) return -EINVAL;
    if (core_.type == BPF_MAP_TYPE_PERF_EVENT_ARRAY) return -kNotSupported;
    if (core_.type == BPF_MAP_TYPE_XSKMAP) return -EOPNOTSUPP;
    std::lock_guard one_at_a_time(control_);
    const uint32_t index = index_of(key);
    if (index >= core_.max_entries || references_[index].target == nullptr) return -ENOENT;
    std::memcpy(value, &references_[index].id, sizeof references_[index].id);
    return 0;
  }

  // By reference alone.
  int update(const void*, const void*, uint64_t) override { return -EINVAL; }

  [[nodiscard]] int check_reference(const void* key, uint64_t flags) const override {
    const uint64_t highest = core_.type == BPF_MAP_TYPE_XSKMAP ? BPF_EXIST : BPF_ANY;
    if (flags > highest) return -EINVAL;
    return index_of(key) >= core_.max_entries ? -E2BIG : 0;
  }

  int set_reference(const void* key, const MapReference& reference, uint64_t flags) override {
    if (int error = check_reference(key, flags); error != 0) return error;
    if (core_.type == BPF_MAP_TYPE_ARRAY_OF_MAPS && !fits_inner(spec_, reference)) return -EINVAL;
    if (core_.type == BPF_MAP_TYPE_PROG_ARRAY && !claim_kind(reference.kind)) return -EINVAL;
    std::lock_guard one_at_a_time(control_);
    const uint32_t index = index_of(key);
    const bool present = references_[index].target != nullptr;
    if (flags == BPF_NOEXIST && present) return -EEXIST;
    if (flags == BPF_EXIST && !present) return -ENOENT;
    const int error = kept_ == nullptr ? 0 : kept_->update(key, &reference.record, BPF_ANY);
    if (error == 0) replace(index, reference);
    return error;
  }

  bool claim_kind(uint64_t kind) override {
    if (core_.type != BPF_MAP_TYPE_PROG_ARRAY) return true;
    std::lock_guard one_at_a_time(control_);
    if (!kind_claimed_) kind_ = kind;
    kind_claimed_ = true;
    return kind_ == kind;
  }

  [[nodiscard]] uint64_t kind() const override {
    std::lock_guard one_at_a_time(control_);
    return kind_;
  }

  int erase(const void* key) override {
    std::lock_guard one_at_a_time(control_);
    const uint32_t index = index_of(key);
    const bool sockets = core_.type == BPF_MAP_TYPE_XSKMAP;
    if (index >= core_.max_entries) return sockets ? -EINVAL : -E2BIG;
    if (references_[index].target == nullptr) return sockets ? 0 : -ENOENT;
    if (kept_ != nullptr) (void)kept_->erase(key);
    replace(index, {});
    return 0;
  }

  [[nodiscard]] Map* kept_references() const override { return kept_.get(); }

  void release_users() override {
    if (core_.type != BPF_MAP_TYPE_PROG_ARRAY) return;
    const bool keep = spec_.store != nullptr && spec_.store->leaving();
    std::lock_guard one_at_a_time(control_);
    for (uint32_t index = 0; index < core_.max_entries; index++) {
      if (references_[index].target == nullptr) continue;
      if (kept_ != nullptr && !keep) (void)kept_->erase(&index);
      replace(index, {});
    }
  }

  void wake_clients() override {
    if (core_.type != BPF_MAP_TYPE_PERF_EVENT_ARRAY || used_ == 0) return;
    std::lock_guard one_at_a_time(control_);
    for (const MapReference& reference : references_) {
      const auto* ring = static_cast<const PerfRing*>(reference.target);
      if (ring != nullptr && ring->page != nullptr) futex_wake_all(perf_wakeups(ring));
    }
  }

  int next_key(const void* key, void* next) override {
    return next_index(key, core_.max_entries, next);
  }

  [[nodiscard]] uint64_t entries() const override { return used_.load(std::memory_order_relaxed); }
  [[nodiscard]] uint64_t memory_bytes() const override {
    return memory_.bytes() + (kept_ != nullptr ? kept_->memory_bytes() : 0);
  }
  [[nodiscard]] FileLoss file_loss() const override {
    return kept_ == nullptr ? FileLoss::none : kept_->file_loss();
  }

 private:
  void retire(MapReference&& old) {
    if (old.owner != nullptr && spec_.grace != nullptr) spec_.grace->retire(std::move(old.owner));
  }

  void replace(uint32_t index, const MapReference& reference) {
    MapReference old = std::move(references_[index]);
    references_[index] = reference;
    __atomic_store_n(reinterpret_cast<const void**>(core_.values) + index, reference.target,
                     __ATOMIC_RELEASE);
    used_ += (reference.target != nullptr ? 1 : 0) - (old.target != nullptr ? 1 : 0);
    retire(std::move(old));
  }

  mutable std::mutex control_;
  MapMemory memory_;  // the pointers; workers: ro, control: rw
  std::shared_ptr<Map> kept_;  // kept_references.hpp; null: none
  std::vector<MapReference> references_;
  std::atomic<uint64_t> used_{0};
  uint64_t kind_ = 0;
  bool kind_claimed_ = false;
};

// Descriptors of the host's kernel end with the process.
bool holds_files(uint32_t type) {
  return type == BPF_MAP_TYPE_PERF_EVENT_ARRAY || type == BPF_MAP_TYPE_XSKMAP;
}

int is_xdp_socket(int fd) {
  int domain = 0;
  socklen_t size = sizeof domain;
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return -errno;
  return domain == AF_XDP ? 0 : -EOPNOTSUPP;
}

}  // namespace

Status check_reference_array(const MapSpec& spec) {
  if (spec.key_size != 4)
    return fail(EINVAL, "key_size " + std::to_string(spec.key_size) + ", an array's is 4");
  if (spec.value_size != 4)
    return fail(EINVAL, "value_size " + std::to_string(spec.value_size) + ", a descriptor's is 4");
  const bool events = spec.type == BPF_MAP_TYPE_PERF_EVENT_ARRAY;
  return check_flags(spec, BPF_F_NUMA_NODE | (events ? uint32_t{BPF_F_PRESERVE_ELEMS} : 0u));
}

Status check_array_of_maps(const MapSpec& spec) {
  if (Status good = check_reference_array(spec); !good) return good;
  return check_inner(spec);
}

Result<std::shared_ptr<Map>> create_reference_array(const MapSpec& spec) {
  MapCore core = core_of(spec);
  core.value_stride = sizeof(void*);
  auto bytes = checked_bytes(spec, sizeof(void*) + sizeof(MapReference));
  if (!bytes) return fail(std::move(bytes.error()));
  auto kept = holds_files(spec.type) ? nullptr : create_kept_references(spec);
  if (!kept) return kept;
  auto memory = MapMemory::allocate(uint64_t{spec.max_entries} * sizeof(void*), true);
  if (!memory) return fail(std::move(memory.error()));
  return std::make_shared<ReferenceArray>(spec, core, std::move(*memory), std::move(*kept));
}

int reference_file(ReferenceKind kind, int fd, MapReference* reference) {
  if (kind == ReferenceKind::perf_event) {
    std::shared_ptr<HeldPerfRing> held;
    if (int error = hold_perf_ring(fd, &held); error != 0) return error;
    reference->target = &held->ring;
    reference->owner = std::move(held);
    return 0;
  }
  if (int error = is_xdp_socket(fd); error != 0) return error;
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return -errno;
  auto file = std::make_shared<UniqueFd>(std::move(copy));
  reference->target = file.get();
  reference->owner = std::move(file);
  return 0;
}

}  // namespace sluice::bpf
