// What a proved program keeps: instructions that no path reached are taken out, comparisons that
// went one way only become jumps, jumps to the next instruction go. As Linux does for root, so that
// the same instructions are left. Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "bpf/progs/annotated_program.hpp"

namespace sluice::bpf {

// Facts, jumps, calls and subprograms follow. reached: one an instruction slot. For each slot that
// is left: where it was.
[[nodiscard]] std::vector<uint32_t> remove_dead_code(AnnotatedProgram* program,
                                                     const std::vector<bool>& reached);

}  // namespace sluice::bpf
