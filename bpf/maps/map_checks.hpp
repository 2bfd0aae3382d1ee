// Checks of shapes and flags that several types share. Control threads.
#pragma once

#include "bpf/maps/map.hpp"

namespace sluice::bpf {

inline constexpr int kNotSupported = 524;  // Linux: ENOTSUPP, which user space's errno.h lacks

inline constexpr uint32_t kMaxValueSize = 4u << 20;  // Linux: KMALLOC_MAX_SIZE
inline constexpr uint32_t kProgramAccess = BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;

// EINVAL unless `flags` are all allowed (BPF_F_RDONLY and BPF_F_WRONLY always are) for the type and
// do not contradict each other.
Status check_flags(const MapSpec& spec, uint32_t allowed);
// A per-CPU value has the size limit and no NUMA node; other kinds pass.
Status check_per_cpu(const MapSpec& spec);
// Flags of a lookup: 0, or BPF_F_LOCK where the value has a bpf_spin_lock; else -EINVAL.
int check_lock_flag(const MapSpec& spec, uint64_t flags);
// Bytes from a copy to the next: 8-rounded. Copies of different workers keep to their own cache
// lines, unless that would take more than 64 MB.
uint32_t choose_value_stride(const MapSpec& spec);
// EINVAL: the types without a key.
Status check_keyless(const MapSpec& spec);
// The fields every type has, from its spec; values of an element at value_stride.
MapCore core_of(const MapSpec& spec);
// element_bytes * max_entries; E2BIG over kMaxMapBytes.
Result<uint64_t> checked_bytes(const MapSpec& spec, uint64_t element_bytes);
// Random, or always the same with BPF_F_ZERO_SEED.
Status choose_hash_key(const MapSpec& spec, uint64_t key[2]);
// GET_NEXT_KEY of the array kinds. ENOENT after the last.
int next_index(const void* key, uint32_t max_entries, void* next);

}  // namespace sluice::bpf
