// The map-type table: one row a type. Adding a type: its files, a row here, its case in
// map_ops.hpp, a test.
#pragma once

#include <linux/bpf.h>

#include <memory>
#include <string_view>

#include "bpf/maps/array_map.hpp"
#include "bpf/maps/bloom_map.hpp"
#include "bpf/maps/hash_map.hpp"
#include "bpf/maps/hash_of_maps.hpp"
#include "bpf/maps/lpm_map.hpp"
#include "bpf/maps/map.hpp"
#include "bpf/maps/queue_map.hpp"
#include "bpf/maps/reference_map.hpp"
#include "bpf/maps/ring_map.hpp"
#include "bpf/maps/target_map.hpp"

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

inline constexpr BatchSupport kBatchTrie{true, false, true, true};

inline constexpr MapType kMapTypes[] = {
    {BPF_MAP_TYPE_HASH, "hash", false, check_hash, create_hash, kBatchAll},
    {BPF_MAP_TYPE_ARRAY, "array", false, check_array, create_array, kBatchArray},
    {BPF_MAP_TYPE_PROG_ARRAY,
     "prog_array",
     false,
     check_reference_array,
     create_reference_array,
     {},
     ReferenceKind::program},
    {BPF_MAP_TYPE_PERF_EVENT_ARRAY,
     "perf_event_array",
     false,
     check_reference_array,
     create_reference_array,
     {},
     ReferenceKind::perf_event},
    {BPF_MAP_TYPE_PERCPU_HASH, "percpu_hash", true, check_hash, create_hash, kBatchAll},
    {BPF_MAP_TYPE_PERCPU_ARRAY, "percpu_array", true, check_array, create_array, kBatchArray},
    {BPF_MAP_TYPE_LRU_HASH, "lru_hash", false, check_hash, create_hash, kBatchAll},
    {BPF_MAP_TYPE_LRU_PERCPU_HASH, "lru_percpu_hash", true, check_hash, create_hash, kBatchAll},
    {BPF_MAP_TYPE_LPM_TRIE, "lpm_trie", false, check_lpm, create_lpm, kBatchTrie},
    {BPF_MAP_TYPE_ARRAY_OF_MAPS, "array_of_maps", false, check_array_of_maps,
     create_reference_array, kBatchArray, ReferenceKind::map},
    {BPF_MAP_TYPE_HASH_OF_MAPS, "hash_of_maps", false, check_hash_of_maps, create_hash_of_maps,
     kBatchAll, ReferenceKind::map},
    {BPF_MAP_TYPE_DEVMAP, "devmap", false, check_devmap, create_target_array},
    {BPF_MAP_TYPE_CPUMAP, "cpumap", false, check_cpumap, create_target_array},
    {BPF_MAP_TYPE_XSKMAP,
     "xskmap",
     false,
     check_reference_array,
     create_reference_array,
     {},
     ReferenceKind::socket},
    {BPF_MAP_TYPE_QUEUE, "queue", false, check_queue, create_queue},
    {BPF_MAP_TYPE_STACK, "stack", false, check_queue, create_queue},
    {BPF_MAP_TYPE_DEVMAP_HASH, "devmap_hash", false, check_devmap, create_devmap_hash},
    {BPF_MAP_TYPE_RINGBUF, "ringbuf", false, check_ring, create_ring},
    {BPF_MAP_TYPE_BLOOM_FILTER, "bloom_filter", false, check_bloom, create_bloom},
};

// Null: no such type.
[[nodiscard]] inline const MapType* find_map_type(uint32_t type) {
  for (const MapType& row : kMapTypes) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

}  // namespace sluice::bpf
