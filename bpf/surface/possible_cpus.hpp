// The host's possible CPUs: what the values of a per-CPU map element are counted by. Control
// thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::bpf::surface {

// Highest CPU number of a kernel list ("0-3,8") plus one; 0 where it is not such a list.
[[nodiscard]] uint32_t parse_cpu_list(std::string_view list);

// Read from /sys/devices/system/cpu/possible; without it, what sysconf knows.
[[nodiscard]] uint32_t possible_cpus();

}  // namespace sluice::bpf::surface
