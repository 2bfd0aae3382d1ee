// Two phases, instead of -O2: as good on packet programs, in half the compile time. No loop pass:
// unrolling made packet loops slower, and loop idioms would call the C library.
#include <llvm/Analysis/TargetLibraryInfo.h>
#include <llvm/Bitcode/BitcodeReader.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Transforms/Utils/Cloning.h>

#include <set>
#include <string_view>
#include <vector>

#include "bpf/jit/chain_ir.hpp"
#include "bpf/jit/runtime_bitcode.hpp"

namespace sluice::bpf::jit {
namespace {

constexpr const char* kAfterInlining = "globaldce";
constexpr const char* kOfProgram =
    "sroa<modify-cfg>,early-cse<memssa>,jump-threading,correlated-propagation,instcombine<no-"
    "verify-fixpoint>,simplifycfg,"
    "sroa<modify-cfg>,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg";
constexpr const char* kOfChain =
    "sroa<modify-cfg>,early-cse<memssa>,jump-threading,instcombine<no-verify-fixpoint>,simplifycfg";

// Everything inlinable, internal.
void fit_body(llvm::Function& function) {
  // The target machine's hold instead; one that differs between functions costs a description of
  // the processor more.
  for (const char* name : {"target-cpu", "target-features", "tune-cpu", "min-legal-vector-width"}) {
    function.removeFnAttr(name);
  }
  function.setLinkage(llvm::GlobalValue::InternalLinkage);
  function.setComdat(nullptr);
  function.setVisibility(llvm::GlobalValue::DefaultVisibility);
  function.addFnAttr("frame-pointer", "all");
  if (!function.hasFnAttribute(llvm::Attribute::NoInline))
    function.addFnAttr(llvm::Attribute::AlwaysInline);
}

// What LLVM's own pass does, without the block frequencies it works out again for each call, and
// callees first, so that each body is whole when it is copied. No function calls itself.
class Inliner {
 public:
  void visit(llvm::Function& function) {
    if (!visited_.insert(&function).second) return;
    std::vector<llvm::CallBase*> calls;
    for (auto& block : function) {
      for (auto& insn : block) {
        auto* call = llvm::dyn_cast<llvm::CallBase>(&insn);
        if (call == nullptr) continue;
        auto* callee = call->getCalledFunction();
        if (callee == nullptr || callee->isDeclaration()) continue;
        visit(*callee);
        if (callee->hasFnAttribute(llvm::Attribute::AlwaysInline)) calls.push_back(call);
      }
    }
    for (auto* call : calls) {
      llvm::InlineFunctionInfo info;
      (void)llvm::InlineFunction(*call, info, true);  // what it cannot do stays a call
    }
  }

 private:
  std::set<llvm::Function*> visited_;
};

class Optimiser {
 public:
  explicit Optimiser(llvm::TargetMachine& target)
      : builder_(&target), library_(target.getTargetTriple()) {
    // No library function is known to the optimiser, or it would turn loops into calls that nothing
    // resolves.
    library_.disableAllFunctions();
    functions_.registerPass([&] { return llvm::TargetLibraryAnalysis(library_); });
    builder_.registerModuleAnalyses(modules_);
    builder_.registerCGSCCAnalyses(sccs_);
    builder_.registerFunctionAnalyses(functions_);
    builder_.registerLoopAnalyses(loops_);
    builder_.crossRegisterProxies(loops_, functions_, sccs_, modules_);
  }

  // Inlines, then simplifies the functions that `wanted` says.
  template <class Wanted>
  Status run(llvm::Module& module, const char* simplification, Wanted wanted) {
    llvm::ModulePassManager cleaning;
    llvm::FunctionPassManager simplifying;
    auto error = llvm::joinErrors(builder_.parsePassPipeline(cleaning, kAfterInlining),
                                  builder_.parsePassPipeline(simplifying, simplification));
    if (error) return fail(EINVAL, "jit: pass pipeline: " + llvm::toString(std::move(error)));
    Inliner inliner;
    for (auto& function : module) inliner.visit(function);
    cleaning.run(module, modules_);
    functions_.clear();
    for (auto& function : module) {
      if (function.isDeclaration() || !wanted(function)) continue;
      functions_.invalidate(function, simplifying.run(function, functions_));
    }
    return {};
  }

 private:
  llvm::PassBuilder builder_;
  llvm::TargetLibraryInfoImpl library_;
  llvm::LoopAnalysisManager loops_;
  llvm::FunctionAnalysisManager functions_;
  llvm::CGSCCAnalysisManager sccs_;
  llvm::ModuleAnalysisManager modules_;
};

}  // namespace

Result<std::unique_ptr<llvm::Module>> load_runtime(llvm::LLVMContext& context,
                                                   llvm::TargetMachine& target) {
  const std::string_view bitcode = runtime_bitcode();
  auto parsed = llvm::getLazyBitcodeModule(
      llvm::MemoryBufferRef({bitcode.data(), bitcode.size()}, "runtime"), context);
  if (!parsed) return fail(EINVAL, "runtime bitcode: " + llvm::toString(parsed.takeError()));
  std::unique_ptr<llvm::Module> module = std::move(*parsed);
  module->setTargetTriple(target.getTargetTriple().str());
  module->setDataLayout(target.createDataLayout());
  // They kept the bodies through clang; here only what a program calls is to stay.
  for (const char* name : {"llvm.used", "llvm.compiler.used", "sluice_rt_bodies"}) {
    if (auto* list = module->getGlobalVariable(name)) list->eraseFromParent();
  }
  return module;
}

Status check_lowered(const llvm::Module& module) {
  std::string text;
  llvm::raw_string_ostream out(text);
  if (llvm::verifyModule(module, &out)) return fail(EINVAL, "jit: invalid IR: " + text);
  return {};
}

Status read_used_bodies(llvm::Module& module) {
  for (bool more = true; more;) {
    more = false;
    for (auto& function : module) {
      if (!function.isMaterializable() || function.use_empty()) continue;
      if (auto error = function.materialize()) {
        return fail(EINVAL, "runtime bitcode: " + llvm::toString(std::move(error)));
      }
      fit_body(function);
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

Status optimise(llvm::Module& module, llvm::TargetMachine& target, const LoweredChain& chain) {
  Optimiser optimiser(target);
  const auto is_entry = [](const llvm::Function& function) {
    return function.hasExternalLinkage();
  };
  auto done =
      optimiser.run(module, kOfProgram, [&](const auto& function) { return !is_entry(function); });
  if (!done) return done;
  for (auto* program : chain.programs) program->addFnAttr(llvm::Attribute::AlwaysInline);
  if (chain.prefetch.slice != nullptr)
    chain.prefetch.slice->addFnAttr(llvm::Attribute::AlwaysInline);
  return optimiser.run(module, kOfChain, [](const auto&) { return true; });
}

}  // namespace sluice::bpf::jit
