// Checks of a map's shape that several types share. Control threads.
#pragma once

#include "bpf/maps/map.hpp"

namespace sluice::bpf {

// EINVAL unless `flags` are all allowed for the type and do not contradict each other.
Status check_flags(const MapSpec& spec, uint32_t allowed);
// A per-CPU value has the size limit and no NUMA node; other kinds pass.
Status check_per_cpu(const MapSpec& spec);
// Bytes from a copy to the next: 8-rounded. Copies of different workers keep to their own cache lines, unless that would
// take more than 64 MB.
uint32_t choose_value_stride(const MapSpec& spec);

}  // namespace sluice::bpf
