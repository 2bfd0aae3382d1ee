// Bodies that the JIT calls instead of inlining them: time, text. Their code is in
// bodies_called.cpp.
#pragma once

#include <linux/bpf.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "bpf/progs/packet_context.hpp"

extern "C" {

uint64_t sluice_helper_ktime_get_ns(sluice::bpf::PacketContext*, uint64_t, uint64_t, uint64_t,
                                    uint64_t, uint64_t);
uint64_t sluice_helper_ktime_get_boot_ns(sluice::bpf::PacketContext*, uint64_t, uint64_t, uint64_t,
                                         uint64_t, uint64_t);
uint64_t sluice_helper_ktime_get_coarse_ns(sluice::bpf::PacketContext*, uint64_t, uint64_t,
                                           uint64_t, uint64_t, uint64_t);
uint64_t sluice_helper_ktime_get_tai_ns(sluice::bpf::PacketContext*, uint64_t, uint64_t, uint64_t,
                                        uint64_t, uint64_t);
// The kernel's count, but for a drift of moments: found from the clock that its tick drives.
uint64_t sluice_helper_jiffies64(sluice::bpf::PacketContext*, uint64_t, uint64_t, uint64_t,
                                 uint64_t, uint64_t);
uint64_t sluice_helper_get_numa_node_id(sluice::bpf::PacketContext*, uint64_t, uint64_t, uint64_t,
                                        uint64_t, uint64_t);
uint64_t sluice_helper_trace_printk(sluice::bpf::PacketContext*, uint64_t format, uint64_t size,
                                    uint64_t a, uint64_t b, uint64_t c);
// The same with at most 12 arguments in an array of words.
uint64_t sluice_helper_trace_vprintk(sluice::bpf::PacketContext*, uint64_t format, uint64_t size,
                                     uint64_t data, uint64_t data_size, uint64_t);
// The text's length with its zero, though it was cut; -EINVAL as helpers/text.hpp says, or for data
// that is no array of at most 12 words.
uint64_t sluice_helper_snprintf(sluice::bpf::PacketContext*, uint64_t out, uint64_t room,
                                uint64_t format, uint64_t data, uint64_t data_size);
// -1, 0 or 1.
uint64_t sluice_helper_strncmp(sluice::bpf::PacketContext*, uint64_t left, uint64_t size,
                               uint64_t right, uint64_t, uint64_t);
// maps/spin_lock_ops.hpp.
uint64_t sluice_helper_spin_lock(sluice::bpf::PacketContext*, uint64_t lock, uint64_t, uint64_t,
                                 uint64_t, uint64_t);
uint64_t sluice_helper_spin_unlock(sluice::bpf::PacketContext*, uint64_t lock, uint64_t, uint64_t,
                                   uint64_t, uint64_t);

}  // extern "C"

namespace sluice::bpf {

// Those that never look at the context: callers may pass none.
inline constexpr uint32_t kContextFree[] = {
    BPF_FUNC_ktime_get_ns,     BPF_FUNC_ktime_get_boot_ns, BPF_FUNC_ktime_get_coarse_ns,
    BPF_FUNC_ktime_get_tai_ns, BPF_FUNC_jiffies64,         BPF_FUNC_get_numa_node_id,
    BPF_FUNC_snprintf,         BPF_FUNC_strncmp,           BPF_FUNC_spin_lock,
    BPF_FUNC_spin_unlock,
};
inline bool is_context_free(uint32_t helper) {
  return std::ranges::find(kContextFree, helper) != std::end(kContextFree);
}

}  // namespace sluice::bpf
