// Random programs that call one helper.
#pragma once

#include <cstdint>
#include <random>

#include "tests/unit/jit/insn_build.hpp"

namespace sluice::bpf {

// One call of any helper that `type` (enum bpf_prog_type) may call, mostly, its arguments mostly of
// the right kind; the maps are those of kernel_program().
build::Code helper_call_program(std::mt19937_64 random, uint32_t type);

}  // namespace sluice::bpf
