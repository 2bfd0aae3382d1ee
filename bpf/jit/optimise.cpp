// The two-phase pipeline, instead of -O2: as good on packet programs, in half the compile time. No loop pass: unrolling
// made packet loops slower, and loop idioms would call the C library.
#include <llvm/Analysis/TargetLibraryInfo.h>
#include <llvm/Bitcode/BitcodeReader.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/raw_ostream.h>

#include <algorithm>
#include <string_view>

#include "bpf/jit/chain_ir.hpp"
#include "bpf/jit/runtime_bitcode.hpp"

namespace sluice::bpf::jit {
namespace {

constexpr const char* kProgramsPipeline =
    "globaldce,always-inline,function(sroa<modify-cfg>,early-cse<memssa>,jump-threading,correlated-propagation,"
    "instcombine<no-verify-fixpoint>,simplifycfg,sroa<modify-cfg>,early-cse<memssa>,"
    "instcombine<no-verify-fixpoint>,simplifycfg)";
constexpr const char* kChainPipeline =
    "always-inline,globaldce,function(sroa<modify-cfg>,early-cse<memssa>,jump-threading,"
    "instcombine<no-verify-fixpoint>,simplifycfg)";

// The burst's own entry points must outlive the first clean-up.
bool is_kept(const llvm::Function& function) {
  constexpr std::string_view kOfBurst[] = {"sluice_rt_load_context", "sluice_rt_captured", "sluice_rt_load_room",
                                           "sluice_rt_enter_stack",  "sluice_rt_step",     "sluice_rt_finish"};
  return std::ranges::find(kOfBurst, std::string_view(function.getName())) != std::end(kOfBurst);
}

std::string broken(const llvm::Module& module) {
  std::string text;
  llvm::raw_string_ostream out(text);
  return llvm::verifyModule(module, &out) ? text : std::string();
}

}  // namespace

Result<std::unique_ptr<llvm::Module>> load_runtime(llvm::LLVMContext& context, llvm::TargetMachine& target) {
  const std::string_view bitcode = runtime_bitcode();
  auto parsed =
      llvm::getLazyBitcodeModule(llvm::MemoryBufferRef({bitcode.data(), bitcode.size()}, "runtime"), context);
  if (!parsed) return fail(EINVAL, "runtime bitcode: " + llvm::toString(parsed.takeError()));
  std::unique_ptr<llvm::Module> module = std::move(*parsed);
  module->setTargetTriple(target.getTargetTriple().str());
  module->setDataLayout(target.createDataLayout());
  // They kept the bodies through clang; here only what a program calls is to stay.
  for (const char* name : {"llvm.used", "llvm.compiler.used", "sluice_rt_bodies"}) {
    if (auto* list = module->getGlobalVariable(name)) list->eraseFromParent();
  }
  for (auto& function : *module) {
    // The target machine's hold instead; one that differs between functions costs a description of the processor more.
    for (const char* name : {"target-cpu", "target-features", "tune-cpu", "min-legal-vector-width"}) {
      function.removeFnAttr(name);
    }
    if (function.isDeclaration()) continue;
    if (!is_kept(function)) function.setLinkage(llvm::GlobalValue::InternalLinkage);
    function.setComdat(nullptr);
    function.setVisibility(llvm::GlobalValue::DefaultVisibility);
    function.addFnAttr("frame-pointer", "all");
    if (!function.hasFnAttribute(llvm::Attribute::NoInline)) function.addFnAttr(llvm::Attribute::AlwaysInline);
  }
  return module;
}

Status read_used_bodies(llvm::Module& module) {
  for (bool more = true; more;) {
    more = false;
    for (auto& function : module) {
      if (!function.isMaterializable() || (function.use_empty() && !is_kept(function))) continue;
      if (auto error = function.materialize()) {
        return fail(EINVAL, "runtime bitcode: " + llvm::toString(std::move(error)));
      }
      more = true;
    }
  }
  for (auto& function : llvm::make_early_inc_range(module)) {
    if (function.isMaterializable()) function.eraseFromParent();
  }
  if (auto error = module.materializeMetadata()) {
    return fail(EINVAL, "runtime bitcode: " + llvm::toString(std::move(error)));
  }
  return {};
}

Status optimise(llvm::Module& module, llvm::TargetMachine& target, Phase phase) {
  if (phase == Phase::chain) {
    for (auto& function : module) {
      if (is_kept(function)) function.setLinkage(llvm::GlobalValue::InternalLinkage);
    }
  }
  if (const std::string text = broken(module); !text.empty()) return fail(EINVAL, "jit: invalid IR: " + text);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager sccs;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&target);
  // No library function is known to the optimiser, or it would turn loops into calls that nothing resolves.
  llvm::TargetLibraryInfoImpl library(target.getTargetTriple());
  library.disableAllFunctions();
  functions.registerPass([&] { return llvm::TargetLibraryAnalysis(library); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(sccs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, sccs, modules);
  llvm::ModulePassManager passes;
  const char* pipeline = phase == Phase::programs ? kProgramsPipeline : kChainPipeline;
  if (auto error = builder.parsePassPipeline(passes, pipeline)) {
    return fail(EINVAL, "jit: pass pipeline: " + llvm::toString(std::move(error)));
  }
  passes.run(module, modules);
  return {};
}

}  // namespace sluice::bpf::jit
