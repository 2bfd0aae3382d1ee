#include "bpf/maps/hash_of_maps.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "bpf/maps/hash_map.hpp"
#include "bpf/maps/inner_map.hpp"
#include "bpf/maps/kept_references.hpp"
#include "bpf/maps/map_checks.hpp"

namespace sluice::bpf {
namespace {

// A hash map of pointers to inner maps' cores, and beside it what keeps the inner maps alive.
// Programs look up alone.
class HashOfMaps final : public Map {
 public:
  HashOfMaps(const MapSpec& spec, std::shared_ptr<Map> hash, std::shared_ptr<Map> kept)
      : Map(spec), hash_(std::move(hash)), kept_(std::move(kept)) {
    core_ = hash_->core();
    core_.type = spec.type;
  }

  ~HashOfMaps() override {
    for (auto& [key, reference] : references_) retire(std::move(reference));
  }

  using Map::lookup;
  int lookup(const void* key, void* value, uint64_t flags) override {
    if (flags != 0) return -EINVAL;
    std::lock_guard one_at_a_time(control_);
    const auto found = references_.find(name_of(key));
    if (found == references_.end()) return -ENOENT;
    std::memcpy(value, &found->second.id, sizeof found->second.id);
    return 0;
  }

  // By reference alone.
  int update(const void*, const void*, uint64_t) override { return -EINVAL; }
  [[nodiscard]] int check_reference(const void*, uint64_t) const override { return 0; }

  int set_reference(const void* key, const MapReference& reference, uint64_t flags) override {
    if (!fits_inner(spec_, reference)) return -EINVAL;
    std::lock_guard one_at_a_time(control_);
    if (kept_ != nullptr) {
      if (int error = kept_->update(key, &reference.record, flags); error != 0) return error;
      flags = BPF_ANY;  // the two have the same keys
    }
    if (int error = hash_->update(key, &reference.target, flags); error != 0) {
      // A program that still looks at a freed element may have read there what was to become
      // another's value.
      retire(MapReference(reference));
      return error;
    }
    MapReference& place = references_[name_of(key)];
    retire(std::move(place));
    place = reference;
    return 0;
  }

  [[nodiscard]] Map* kept_references() const override { return kept_.get(); }

  int erase(const void* key) override {
    std::lock_guard one_at_a_time(control_);
    return remove(key);
  }

  int lookup_batch(Batch& batch, bool and_erase) override {
    std::lock_guard one_at_a_time(control_);
    std::vector<const void*> targets(std::min(batch.count, spec_.max_entries));
    Batch inner = batch;
    inner.values = targets.data();
    inner.count = static_cast<uint32_t>(targets.size());
    const int error = hash_->lookup_batch(inner, false);
    batch.count = inner.count;
    for (uint32_t i = 0; i < inner.count; i++) {
      const auto* key = static_cast<const uint8_t*>(batch.keys) + size_t{i} * spec_.key_size;
      const auto found = references_.find(name_of(key));
      std::memcpy(static_cast<uint8_t*>(batch.values) + size_t{i} * sizeof(uint32_t),
                  &found->second.id, sizeof(uint32_t));
      if (and_erase) (void)remove(key);
    }
    return error;
  }
  [[nodiscard]] uint32_t batch_token_size() const override { return hash_->batch_token_size(); }

  int next_key(const void* key, void* next) override { return hash_->next_key(key, next); }
  [[nodiscard]] uint64_t entries() const override { return hash_->entries(); }
  [[nodiscard]] uint64_t full_errors() const override { return hash_->full_errors(); }
  [[nodiscard]] uint64_t memory_bytes() const override {
    return hash_->memory_bytes() + (kept_ != nullptr ? kept_->memory_bytes() : 0);
  }
  [[nodiscard]] FileLoss file_loss() const override {
    return kept_ == nullptr ? FileLoss::none : kept_->file_loss();
  }

 private:
  [[nodiscard]] std::string name_of(const void* key) const {
    return {static_cast<const char*>(key), spec_.key_size};
  }
  void retire(MapReference&& old) {
    if (old.owner != nullptr && spec_.grace != nullptr) spec_.grace->retire(std::move(old.owner));
  }

  int remove(const void* key) {
    if (int error = hash_->erase(key); error != 0) return error;
    if (kept_ != nullptr) (void)kept_->erase(key);
    const auto found = references_.find(name_of(key));
    retire(std::move(found->second));
    references_.erase(found);
    return 0;
  }

  std::mutex control_;
  std::shared_ptr<Map> hash_;
  std::shared_ptr<Map> kept_;  // kept_references.hpp; null: none
  std::unordered_map<std::string, MapReference> references_;
};

}  // namespace

Status check_hash_of_maps(const MapSpec& spec) {
  if (spec.value_size != 4)
    return fail(EINVAL, "value_size " + std::to_string(spec.value_size) + ", a descriptor's is 4");
  if (Status good = check_hash(spec); !good) return good;
  return check_inner(spec);
}

Result<std::shared_ptr<Map>> create_hash_of_maps(const MapSpec& spec) {
  MapSpec pointers = spec;
  pointers.type = BPF_MAP_TYPE_HASH;
  pointers.value_size = sizeof(void*);
  pointers.inner = nullptr;
  pointers.store = nullptr;  // pointers end with the process
  auto made = create_hash(pointers);
  if (!made) return made;
  auto kept = create_kept_references(spec);
  if (!kept) return kept;
  return std::make_shared<HashOfMaps>(spec, std::move(*made), std::move(*kept));
}

}  // namespace sluice::bpf
