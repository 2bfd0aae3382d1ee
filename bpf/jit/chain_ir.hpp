// The steps of a compilation, in order: a module from the runtime's bitcode, the programs lowered
// into it, the burst loop around them, what they use of the runtime, optimisation, machine code.
// Internal to the JIT; includes LLVM.
#pragma once

#include <llvm/IR/Module.h>
#include <llvm/Target/TargetMachine.h>

#include <memory>
#include <vector>

#include "base/result.hpp"
#include "bpf/jit/image.hpp"

namespace sluice::bpf::jit {

inline constexpr const char* kBurstSymbol = "sluice_burst";
inline constexpr const char* kProgramSymbol = "sluice_program";

// The host's machine, as code generation and the optimiser's cost model see it: one a thread, made
// once, since making it and what it keeps of the processor takes longer than a small program.
Result<llvm::TargetMachine*> target_machine();
// The runtime's bitcode, its bodies not yet read.
Result<std::unique_ptr<llvm::Module>> load_runtime(llvm::LLVMContext& context,
                                                   llvm::TargetMachine& target);
// Most of the runtime is of no use to one chain, and reading it would be most of the compile time:
// load_runtime leaves the bodies unread, this reads those in use, makes them inlinable and drops
// the others.
Status read_used_bodies(llvm::Module& module);
// Whether what was added to the runtime is valid IR. Before read_used_bodies(): clang checked
// those.
Status check_lowered(const llvm::Module& module);
// What runs over the burst before its programs do, to have a large map's lines in the cache by
// then: lower_slice.cpp. The first program's, since those behind it may not run. `slice` null: no
// map is large enough.
struct Prefetch {
  llvm::Function* slice = nullptr;    // i64 (ptr ctx)
  llvm::Function* pays = nullptr;     // i1 (ptr ctx)
  llvm::Function* element = nullptr;  // void (ptr ctx, i64)
};
struct LoweredChain {
  std::vector<llvm::Function*> programs;  // `i64 (ptr ctx)` each
  Prefetch prefetch;
};
Result<LoweredChain> lower_programs(llvm::Module& module, const ChainImage& image);
// Adds sluice_burst, which calls the programs, those of the image, in order on each packet.
void add_burst(llvm::Module& module, const LoweredChain& chain, const ChainImage& image);
// Adds sluice_program, which is the one program.
void add_program_entry(llvm::Module& module, llvm::Function* program);

// Simplifies the programs, before they are inlined into the loop (else
// bytes of the frame become values carried around it), then all of it.
Status optimise(llvm::Module& module, llvm::TargetMachine& target, const LoweredChain& chain);

Result<std::vector<char>> emit_object(llvm::Module& module, llvm::TargetMachine& target);

}  // namespace sluice::bpf::jit
