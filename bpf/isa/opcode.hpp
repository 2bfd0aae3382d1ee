// What makes one instruction valid by itself: a known opcode, registers in range, reserved fields
// zero (RFC 9669; Linux refuses non-zero reserved fields). Pure; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "bpf/isa/insn.hpp"

namespace sluice::bpf {

// The fault of insns[index], in the kernel's words; nothing if it is well-formed. A 64-bit
// immediate load looks at its second slot too; the second slot itself is not to be asked about.
[[nodiscard]] std::optional<std::string> insn_fault(std::span<const Insn> insns, uint32_t index);
// Of an instruction with a fault: Linux refuses it even where no path reaches it.
[[nodiscard]] bool is_fault_of_dead_code(std::span<const Insn> insns, uint32_t index);

}  // namespace sluice::bpf
