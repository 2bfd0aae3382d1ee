// When a burst looks ahead in a hash map. Shared by the JIT and its bitcode.
#pragma once

#include <cstdint>

namespace sluice::bpf::jit {

// Elements in use from which on they are out of a core's caches: looking ahead then costs less than
// waiting.
inline constexpr uint64_t kPrefetchBytes = 8u << 20;

}  // namespace sluice::bpf::jit
