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
inline constexpr size_t kAttachEnd = 32;      // expected_revision
inline constexpr size_t kQueryEnd = 64;       // revision
inline constexpr size_t kLinkCreateEnd = 64;  // uprobe_multi.pid and what follows

inline constexpr uint32_t kXdpDevBoundOnly = 1u << 6;        // BPF_F_XDP_DEV_BOUND_ONLY
inline constexpr uint32_t kProgTestRegInvariants = 1u << 7;  // BPF_F_TEST_REG_INVARIANTS

// Fields of the attribute by their place.
inline constexpr size_t kProgLogTrueSizeAt = 140;  // u32
// u32: so many maps of fd_array belong to the program
inline constexpr size_t kProgFdArrayCountAt = 148;
inline constexpr size_t kBtfLogTrueSizeAt = 28;    // u32
inline constexpr size_t kBtfFlagsAt = 32;          // u32

inline constexpr size_t kLinkRelativeAt = 16;      // u32, link_create.tcx.relative_fd
inline constexpr size_t kLinkRevisionAt = 24;      // u64
inline constexpr size_t kAttachRelativeAt = 20;    // u32, of PROG_ATTACH
inline constexpr size_t kAttachRevisionAt = 24;    // u64
inline constexpr size_t kQueryLinkIdsAt = 40;      // u64
inline constexpr size_t kQueryRevisionAt = 56;     // u64

// Flags of LINK_CREATE and PROG_ATTACH.
inline constexpr uint32_t kAttachBefore = 1u << 3;   // BPF_F_BEFORE
inline constexpr uint32_t kAttachAfter = 1u << 4;    // BPF_F_AFTER
inline constexpr uint32_t kAttachById = 1u << 5;     // BPF_F_ID
inline constexpr uint32_t kAttachByLink = 1u << 13;  // BPF_F_LINK
inline constexpr uint32_t kAttachTypeMax = 63;       // above every enum bpf_attach_type of 6.18
inline constexpr uint32_t kLinkTypeTcx = 11;         // BPF_LINK_TYPE_TCX

// Attach types whose target_fd is a cgroup's: there are none here, so that it is a bad descriptor.
[[nodiscard]] constexpr bool is_cgroup_attach(uint32_t attach_type) {
  return attach_type <= BPF_CGROUP_INET_SOCK_CREATE || attach_type == BPF_CGROUP_SOCK_OPS ||
         attach_type == BPF_CGROUP_DEVICE ||
         (attach_type >= BPF_CGROUP_INET4_BIND && attach_type <= BPF_CGROUP_UDP6_SENDMSG) ||
         (attach_type >= BPF_CGROUP_SYSCTL && attach_type <= BPF_CGROUP_SETSOCKOPT);
}

// struct bpf_link_info of BPF_LINK_TYPE_TCX, where Debian's ends earlier.
struct TcxLinkInfo {
  uint32_t ifindex;
  uint32_t attach_type;
};

// the kernel's ENOTSUPP, which user space's errno.h lacks
inline constexpr uint32_t kEnotsupp = 524;

}  // namespace sluice::bpf
