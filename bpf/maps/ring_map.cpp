#include "bpf/maps/ring_map.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/futex.hpp"
#include "base/limits.hpp"
#include "bpf/maps/map_checks.hpp"
#include "bpf/maps/map_memory.hpp"
#include "bpf/maps/map_store.hpp"
#include "bpf/maps/ring_ops.hpp"

namespace sluice::bpf {
namespace {

class RingMap final : public Map {
 public:
  RingMap(const MapSpec& spec, const MapCore& core, MapMemory table, MapMemory file)
      : Map(spec), table_(std::move(table)), file_(std::move(file)) {
    core_ = core;
    core_.table = table_.data();
    core_.values = file_.data() + 2 * kRingPage;
  }

  // As another process left it. Records that its programs had not submitted are discarded.
  Status recover() {
    RingTable* table = ring_table(&core_);
    table->lock = 0;
    if (table->producer % 8 != 0 || table->producer - table->pending > core_.max_entries)
      return damaged(table->pending);
    while (table->pending < table->producer) {
      const uint32_t record = *ring_record(&core_, table->pending);
      const uint32_t length = record & ~static_cast<uint32_t>(BPF_RINGBUF_BUSY_BIT);
      if (ring_record_bytes(length) > table->producer - table->pending)
        return damaged(table->pending);
      if (record != length)
        ring_put_record(&core_, table->pending, length, BPF_RINGBUF_DISCARD_BIT);
      table->pending += ring_record_bytes(length);
    }
    ring_publish(&core_, table->producer);
    return {};
  }

  using Map::lookup;
  int lookup(const void*, void*, uint64_t flags) override {
    return flags != 0 ? -EINVAL : -kNotSupported;
  }
  int update(const void*, const void*, uint64_t flags) override {
    return (flags & BPF_F_LOCK) != 0 ? -EINVAL : -kNotSupported;
  }
  int erase(const void*) override { return -kNotSupported; }
  int next_key(const void*, void*) override { return -kNotSupported; }

  void wake_clients() override { futex_wake_all(ring_wakeups(&core_)); }

  [[nodiscard]] uint64_t entries() const override { return 0; }
  [[nodiscard]] uint64_t full_errors() const override {
    return __atomic_load_n(&ring_table(&core_)->dropped, __ATOMIC_RELAXED);
  }
  [[nodiscard]] uint64_t memory_bytes() const override {
    return table_.bytes() + file_.bytes() - core_.max_entries;
  }
  [[nodiscard]] int memory_file() const override { return file_.file(); }
  [[nodiscard]] bool mapped_for_writing() const override { return file_.mapped_for_writing(); }
  [[nodiscard]] FileLoss file_loss() const override {
    return std::max(table_.file_loss(), file_.file_loss());
  }

 private:
  static Status damaged(uint64_t position) {
    return fail(EBADMSG, "the record at " + std::to_string(position));
  }

  MapMemory table_;
  MapMemory file_;
};

}  // namespace

Status check_ring(const MapSpec& spec) {
  if (Status good = check_keyless(spec); !good) return good;
  if (spec.value_size != 0)
    return fail(EINVAL, "value_size " + std::to_string(spec.value_size) + ", a ring buffer's is 0");
  if (!std::has_single_bit(spec.max_entries) || spec.max_entries % kRingPage != 0) {
    return fail(EINVAL, "max_entries " + std::to_string(spec.max_entries) +
                            ", not a power of 2 of whole pages");
  }
  if ((spec.flags & (BPF_F_RDONLY | BPF_F_WRONLY)) != 0)
    return fail(EINVAL, "map_flags: access to a ring buffer");
  return check_flags(spec, BPF_F_NUMA_NODE);
}

Result<std::shared_ptr<Map>> create_ring(const MapSpec& spec) {
  MapCore core = core_of(spec);
  core.bucket_mask = spec.max_entries - 1;
  const uint64_t size = spec.max_entries;
  MapStore* store = spec.store.get();
  auto table =
      MapMemory::allocate_in(store, "table", sizeof(RingTable) + size / 8 * sizeof(uint32_t), true);
  if (!table) return fail(std::move(table.error()));
  // The second half is never touched.
  const uint64_t bytes = 2 * kRingPage + 2 * size;
  auto file = store == nullptr ? MapMemory::allocate_shared(bytes, false)
                               : store->part("values", bytes, false);
  if (!file) return fail(std::move(file.error()));
  if (!reopened(spec)) std::memset(file->data(), 0, 2 * kRingPage + size);
  auto map = std::make_shared<RingMap>(spec, core, std::move(*table), std::move(*file));
  if (Status good = reopened(spec) ? map->recover() : Status(); !good)
    return fail(std::move(good.error()));
  return map;
}

}  // namespace sluice::bpf
