// The JIT: a chain of verified programs -> one burst function in machine code, by LLVM (docs/ARCHITECTURE.md, JIT).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "bpf/progs/burst.hpp"

namespace sluice::bpf::jit {

// Compiles the chain: a pure function of its input (and the host CPU) to a relocatable object file in memory. Any thread;
// tens of milliseconds. Errors: ENOMEM, EOPNOTSUPP (instruction not supported), each naming program and instruction.
struct ObjectCode {
  std::vector<char> elf;   // exports "sluice_burst"
  std::string ir;          // optimised LLVM IR, filled when CompileOptions::keep_ir
};
struct CompileOptions {
  bool keep_ir = false;
};
Result<ObjectCode> compile(const ChainSpec& spec, const CompileOptions& options = {});

// Links object code into this process (W^X) and makes it runnable. Keeps the programs and so their maps alive.
Result<std::unique_ptr<Burst>> link(ObjectCode code, ChainSpec spec);

// compile and link.
Result<std::unique_ptr<Burst>> make_burst(ChainSpec spec);

}  // namespace sluice::bpf::jit
