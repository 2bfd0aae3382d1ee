// The map-type table: one row a type. Adding a type: its files, a row here, its case in map_ops.hpp, a test.
#pragma once

#include <linux/bpf.h>

#include <memory>
#include <string_view>

#include "bpf/maps/array_map.hpp"
#include "bpf/maps/hash_map.hpp"
#include "bpf/maps/map.hpp"

namespace sluice::bpf {

struct MapType {
  uint32_t type;
  std::string_view name;
  bool per_cpu;
  Status (*check)(const MapSpec&);  // shape and flags; the texts name the field
  Result<std::shared_ptr<Map>> (*create)(const MapSpec&);
  BatchSupport batch = {};
  ReferenceKind reference = ReferenceKind::none;
};

inline constexpr BatchSupport kBatchAll{true, true, true, true};
inline constexpr BatchSupport kBatchArray{true, false, true, false};

inline constexpr MapType kMapTypes[] = {
    {BPF_MAP_TYPE_HASH, "hash", false, check_hash, create_hash, kBatchAll},
    {BPF_MAP_TYPE_ARRAY, "array", false, check_array, create_array, kBatchArray},
    {BPF_MAP_TYPE_PERCPU_HASH, "percpu_hash", true, check_hash, create_hash, kBatchAll},
    {BPF_MAP_TYPE_PERCPU_ARRAY, "percpu_array", true, check_array, create_array, kBatchArray},
};

// Null: no such type.
[[nodiscard]] inline const MapType* find_map_type(uint32_t type) {
  for (const MapType& row : kMapTypes) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

}  // namespace sluice::bpf
