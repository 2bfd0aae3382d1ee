// Random socket filters and sched_cls programs, mostly of the kind that a verifier accepts:
// arithmetic, branches, bounded loops, the frame, ctx, packet loads and pointers, map operations,
// atomics, a subprogram, callbacks. Deterministic in the seed.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "bpf/isa/insn.hpp"

namespace sluice::bpf {

struct RandomProgram {
  uint32_t type = 0;  // enum bpf_prog_type
  std::vector<Insn> insns;
};

// The maps a program expects: 0 array (64-byte values, 1), 1 hash (4-byte key, 16-byte value), 2
// per-CPU array (16-byte values, 4), 3 hash (20-byte key, 16-byte value). It leaves a digest of its
// registers in map 0 and in R0.
RandomProgram random_program(uint64_t seed);

}  // namespace sluice::bpf
