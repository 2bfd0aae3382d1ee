#include "bpf/maps/kept_references.hpp"

#include "bpf/maps/hash_map.hpp"

namespace sluice::bpf {

Result<std::shared_ptr<Map>> create_kept_references(const MapSpec& spec) {
  if (spec.store == nullptr) return nullptr;
  MapSpec kept;
  kept.name = spec.name;
  kept.type = BPF_MAP_TYPE_HASH;
  kept.key_size = spec.key_size;
  kept.value_size = sizeof MapReference::record;
  kept.max_entries = spec.max_entries;
  kept.store = spec.store;
  return create_hash(kept);
}

}  // namespace sluice::bpf
