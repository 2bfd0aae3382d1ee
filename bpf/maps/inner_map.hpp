// What a map-in-map asks of its inner maps. Control threads.
#pragma once

#include "bpf/maps/map.hpp"

namespace sluice::bpf {

// EINVAL without an inner map, or with one that is itself a map-in-map; ENOTSUPP (524) for
// prog_array.
Status check_inner(const MapSpec& spec);
// The inner map looks as MapSpec::inner does: type, sizes, flags; arrays also in max_entries,
// unless the flags hold BPF_F_INNER_MAP.
[[nodiscard]] bool fits_inner(const MapSpec& outer, const MapReference& reference);

}  // namespace sluice::bpf
