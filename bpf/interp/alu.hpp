// Arithmetic and jumps on a register file (RFC 9669, 4.1 to 4.3). Pure apart from the destination
// register.
#pragma once

#include <cstdint>

#include "bpf/isa/insn.hpp"

namespace sluice::bpf {

void alu64(const Insn& insn, uint64_t* registers);
void alu32(const Insn& insn, uint64_t* registers);
// Of a conditional jump.
[[nodiscard]] bool jump_taken(const Insn& insn, const uint64_t* registers);

}  // namespace sluice::bpf
