// Parts of the bpf(2) ABI newer than Debian 12's linux/bpf.h (Linux 6.1), as Linux 6.18 has them
// (Documentation/userspace-api/ebpf, observed).
#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>

namespace sluice::bpf {

inline constexpr size_t kAttrSize = 168;  // sizeof(union bpf_attr)
static_assert(sizeof(union bpf_attr) <= kAttrSize);

// Ends of a command's fields, for the rule that what lies behind must be zero.
inline constexpr size_t kMapCreateEnd = 92;   // excl_prog_hash_size
inline constexpr size_t kProgLoadEnd = 168;   // keyring_id
inline constexpr size_t kBtfLoadEnd = 40;     // btf_token_fd
inline constexpr size_t kBtfByIdEnd = 16;     // fd_by_id_token_fd

}  // namespace sluice::bpf
