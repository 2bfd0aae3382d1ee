// One instruction as text, in the notation of the kernel's verifier log and `bpftool prog dump
// xlated`.
#pragma once

#include <string>

#include "bpf/isa/insn.hpp"

namespace sluice::bpf {

// "(07) r1 += 8". A 64-bit immediate load reads insn[1] too; other instructions read insn[0] alone.
[[nodiscard]] std::string disassemble(const Insn* insn);

// "map_lookup_elem"; "unspec" for an id this build has no name for.
[[nodiscard]] const char* helper_name(uint32_t id);

}  // namespace sluice::bpf
