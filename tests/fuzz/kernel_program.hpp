// Structured random programs for the comparison with the kernel: of every type, mostly near the
// edge of what a verifier accepts. Deterministic in the seed.
#pragma once

#include <cstdint>
#include <vector>

#include "bpf/isa/insn.hpp"

namespace sluice::bpf {

struct KernelProgram {
  uint32_t type = 0;           // enum bpf_prog_type
  const char* kind = "";       // what it is made of, for the counts
  bool runs = false;           // its result may be compared; else the verdict alone
  std::vector<Insn> insns;
};

// The maps it expects: 0 array (64-byte values, 1 element), 1 array (64-byte values, 4), 2 hash
// (4-byte keys, 16-byte values, 8), 3 ring buffer. Its result goes to map 0 and R0.
KernelProgram kernel_program(uint64_t seed);
// Arithmetic and comparisons alone, to compare what is known of the numbers.
KernelProgram number_program(uint64_t seed);

}  // namespace sluice::bpf
