// The JIT: a chain of verified programs -> one burst function in machine code, by LLVM
// (docs/ARCHITECTURE.md, JIT); or one program -> one function, for test runs and as the target of
// tail calls.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "bpf/jit/image.hpp"
#include "bpf/progs/burst.hpp"
#include "bpf/progs/tail_target.hpp"

namespace sluice::bpf::jit {

// Compiles: a pure function of its input (and the host CPU) to a relocatable object file in memory.
// Any thread, any process of this binary (jit/serialise.hpp); tens of milliseconds. Errors: ENOMEM,
// EOPNOTSUPP (instruction not supported), each naming program and instruction; EINVAL
// (check_image).
struct ObjectCode {
  std::vector<char> elf;   // exports "sluice_burst" or "sluice_program"
  std::string ir;          // optimised LLVM IR, filled when CompileOptions::keep_ir
};
struct CompileOptions {
  bool keep_ir = false;
};
Result<ObjectCode> compile(const ChainImage& image, const CompileOptions& options = {});
Result<ObjectCode> compile(const ChainSpec& spec, const CompileOptions& options = {});

// Links object code into this process (W^X) and makes it runnable. Keeps the programs and so their
// maps alive. ENOMEM; EINVAL where the object asks for a symbol that is no helper of the programs.
Result<std::unique_ptr<Burst>> link(ObjectCode code, ChainSpec spec);

// compile and link.
Result<std::unique_ptr<Burst>> make_burst(ChainSpec spec);

// One program in machine code. Keeps the program alive.
class CompiledProgram {
 public:
  virtual ~CompiledProgram() = default;
  // R0 of a run; any thread with its own context. The second argument is not looked at and may be
  // null.
  [[nodiscard]] virtual TailCode code() const = 0;
  // The machine code as it lies in memory, for dumps; valid as long as this object.
  [[nodiscard]] virtual std::string_view machine_code() const = 0;
};
Result<std::unique_ptr<CompiledProgram>> link_program(
    ObjectCode code, std::shared_ptr<const AnnotatedProgram> program);
// compile(make_program_image(*program)) and link_program.
Result<std::unique_ptr<CompiledProgram>> make_program(
    std::shared_ptr<const AnnotatedProgram> program);

}  // namespace sluice::bpf::jit
