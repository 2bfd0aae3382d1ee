// Checks of shapes and flags that several types share. Control threads.
#pragma once

#include "bpf/maps/map.hpp"

namespace sluice::bpf {

inline constexpr int kNotSupported = 524;  // Linux: ENOTSUPP, which user space's errno.h lacks

// EINVAL unless `flags` are all allowed for the type and do not contradict each other.
Status check_flags(const MapSpec& spec, uint32_t allowed);
// A per-CPU value has the size limit and no NUMA node; other kinds pass.
Status check_per_cpu(const MapSpec& spec);
// Flags of a lookup: 0, or BPF_F_LOCK where the value has a bpf_spin_lock; else -EINVAL.
int check_lock_flag(const MapSpec& spec, uint64_t flags);
// Bytes from a copy to the next: 8-rounded. Copies of different workers keep to their own cache lines, unless that would
// take more than 64 MB.
uint32_t choose_value_stride(const MapSpec& spec);

}  // namespace sluice::bpf
