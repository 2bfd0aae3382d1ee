#include <llvm/IR/LegacyPassManager.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/CommandLine.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/TargetParser/SubtargetFeature.h>

#include <mutex>

#include "bpf/jit/chain_ir.hpp"

namespace sluice::bpf::jit {
namespace {

void initialise_llvm() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    // Domain reassignment is quadratic in the function's size and finds nothing in packet programs.
    // Scheduling after register allocation gained nothing on them.
    const char* options[] = {"sluice", "-disable-x86-domain-reassignment", "-disable-post-ra"};
    llvm::cl::ParseCommandLineOptions(std::size(options), options, "", &llvm::nulls());
  });
}

// What this machine really has: the CPU's name alone may promise more than a virtual machine
// offers.
std::string host_features() {
  llvm::SubtargetFeatures features;
  for (const auto& feature : llvm::sys::getHostCPUFeatures()) {
    const bool wide =
        feature.getKey().starts_with("avx512") || feature.getKey().starts_with("evex512");
    features.AddFeature(feature.getKey(), feature.getValue() && !wide);
  }
  return features.getString();
}

Result<std::unique_ptr<llvm::TargetMachine>> make_target_machine() {
  initialise_llvm();
  const std::string triple = "x86_64-pc-linux-gnu";
  std::string why;
  const llvm::Target* target = llvm::TargetRegistry::lookupTarget(triple, why);
  if (target == nullptr) return fail(EOPNOTSUPP, "jit: " + why);
  llvm::TargetOptions options;
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
      triple, llvm::sys::getHostCPUName(), host_features(), options, llvm::Reloc::PIC_,
      llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default, true));
  if (machine == nullptr) return fail(EOPNOTSUPP, "jit: no code generator for " + triple);
  return machine;
}

// The passes of code generation and what they write: they can run again, on another module.
struct Emitter {
  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream out{object};
  llvm::legacy::PassManager passes;
};

Result<std::unique_ptr<Emitter>> make_emitter(llvm::TargetMachine& target) {
  auto emitter = std::make_unique<Emitter>();
  if (target.addPassesToEmitFile(emitter->passes, emitter->out, nullptr,
                                 llvm::CodeGenFileType::ObjectFile)) {
    return fail(EOPNOTSUPP, "jit: this target emits no object files");
  }
  return emitter;
}

}  // namespace

Result<llvm::TargetMachine*> target_machine() {
  thread_local std::unique_ptr<llvm::TargetMachine> machine;
  if (machine == nullptr) {
    auto made = make_target_machine();
    if (!made) return tl::unexpected<Error>(std::move(made.error()));
    machine = std::move(*made);
  }
  return machine.get();
}

Result<std::vector<char>> emit_object(llvm::Module& module, llvm::TargetMachine& target) {
  thread_local std::unique_ptr<Emitter> emitter;
  if (emitter == nullptr) {
    auto made = make_emitter(target);
    if (!made) return tl::unexpected<Error>(std::move(made.error()));
    emitter = std::move(*made);
  }
  emitter->object.clear();
  emitter->passes.run(module);
  return std::vector<char>(emitter->object.begin(), emitter->object.end());
}

}  // namespace sluice::bpf::jit
