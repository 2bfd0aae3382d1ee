#include "bpf/maps/inner_map.hpp"

#include "bpf/maps/map_checks.hpp"

namespace sluice::bpf {
namespace {

bool is_array(uint32_t type) {
  return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

}  // namespace

Status check_inner(const MapSpec& spec) {
  if (spec.inner == nullptr) return fail(EINVAL, "no inner map");
  const uint32_t type = spec.inner->spec().type;
  if (type == BPF_MAP_TYPE_PROG_ARRAY) return fail(kNotSupported, "a prog_array as inner map");
  if (reference_kind(type) == ReferenceKind::map) return fail(EINVAL, "a map-in-map as inner map");
  return {};
}

bool fits_inner(const MapSpec& outer, const MapReference& reference) {
  if (outer.inner == nullptr || reference.map == nullptr) return false;
  const MapSpec& wanted = outer.inner->spec();
  const MapSpec& given = reference.map->spec();
  if (wanted.type != given.type || wanted.key_size != given.key_size ||
      wanted.value_size != given.value_size || wanted.flags != given.flags ||
      wanted.spin_lock_offset != given.spin_lock_offset) {
    return false;
  }
  return !is_array(wanted.type) || (wanted.flags & BPF_F_INNER_MAP) != 0 ||
         wanted.max_entries == given.max_entries;
}

}  // namespace sluice::bpf
