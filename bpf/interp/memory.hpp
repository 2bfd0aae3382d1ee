// Loads, stores and atomics on plain memory (RFC 9669, 5.1 to 5.3); the verifier has proved the
// address. A naturally aligned access is one machine access, since other workers may write the same
// map value.
#pragma once

#include <cstdint>

#include "bpf/isa/insn.hpp"

namespace sluice::bpf {

// Zero-extended, or sign-extended for BPF_MEMSX.
[[nodiscard]] uint64_t load_memory(const Insn& insn, uint64_t base);
void store_memory(const Insn& insn, uint64_t base, uint64_t value);
void atomic(const Insn& insn, uint64_t* registers);

}  // namespace sluice::bpf
