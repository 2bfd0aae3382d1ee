// Shared by the binary and the JIT's bitcode; any thread.
#pragma once

#include <cstdint>

namespace sluice::bpf {

// The index, or 0 where it is not below `limit`, without a branch: after a bounds check it stays in
// range also where the processor runs ahead of that check (Spectre variant 1; Linux:
// array_index_nospec).
[[gnu::always_inline]] inline uint32_t masked_index(uint32_t index, uint32_t limit) {
  uint32_t unknown = index;  // to the compiler, which would take the comparison for decided
  asm("" : "+r"(unknown));
  return index & (0 - static_cast<uint32_t>(unknown < limit));
}

}  // namespace sluice::bpf
