// Linking by LLVM's ORC, used as a linker only. JITLink writes the code to fresh pages and then makes them executable and
// read-only: no page is ever both. Nothing resolves but the named helpers of the chain's own programs.
#include <llvm/ExecutionEngine/JITLink/JITLinkMemoryManager.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h>
#include <llvm/Support/TargetSelect.h>

#include <atomic>
#include <cstring>
#include <ctime>

#include "bpf/helpers/helper.hpp"
#include "bpf/jit/chain_ir.hpp"
#include "bpf/jit/jit.hpp"

namespace sluice::bpf::jit {
namespace {

using namespace llvm::orc;
using BurstFunction = void (*)(void* const*, uint32_t, uint32_t*, RunEnv*, ProgramCounters*);

Error llvm_error(const char* what, llvm::Error error) {
  return Error{ENOMEM, std::string("jit: ") + what + ": " + llvm::toString(std::move(error))};
}

// One linker a process; LLVM locks it.
llvm::Expected<std::unique_ptr<LLJIT>> make_linker() {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  LLJITBuilder builder;
  JITTargetMachineBuilder machine(llvm::Triple("x86_64-pc-linux-gnu"));
  machine.setCodeModel(llvm::CodeModel::Small).setRelocationModel(llvm::Reloc::PIC_);
  builder.setJITTargetMachineBuilder(std::move(machine));
  builder.setLinkProcessSymbolsByDefault(false);
  builder.setPlatformSetUp(setUpInactivePlatform);
  builder.setObjectLinkingLayerCreator([](ExecutionSession& session, const llvm::Triple&) {
    return std::make_unique<ObjectLinkingLayer>(session);
  });
  return builder.create();
}

llvm::Expected<std::unique_ptr<LLJIT>>& linker() {
  static auto instance = make_linker();
  return instance;
}

class CompiledBurst : public Burst {
 public:
  CompiledBurst(ChainSpec spec, LLJIT& jit, JITDylib& library, ResourceTrackerSP tracker, BurstFunction function)
      : spec_(std::move(spec)), jit_(jit), library_(library), tracker_(std::move(tracker)), function_(function) {}
  CompiledBurst(const CompiledBurst&) = delete;
  CompiledBurst& operator=(const CompiledBurst&) = delete;
  ~CompiledBurst() override {
    llvm::consumeError(tracker_->remove());
    llvm::consumeError(jit_.getExecutionSession().removeJITDylib(library_));
  }
  void run(void* const* packets, uint32_t count, uint32_t* verdicts, RunEnv* env,
           ProgramCounters* counters) const override {
    function_(packets, count, verdicts, env, counters);
  }

 private:
  ChainSpec spec_;  // keeps the maps whose addresses are in the code
  LLJIT& jit_;
  JITDylib& library_;
  ResourceTrackerSP tracker_;
  BurstFunction function_;
};

// The bodies that the chain's programs call by address, and the few C functions that code generation may call.
SymbolMap symbols_of(const ChainSpec& spec, LLJIT& jit) {
  SymbolMap symbols;
  const auto add = [&](llvm::StringRef name, void* address) {
    symbols[jit.mangleAndIntern(name)] = {ExecutorAddr::fromPtr(address), llvm::JITSymbolFlags::Exported |
                                                                              llvm::JITSymbolFlags::Callable};
  };
  add("memcpy", reinterpret_cast<void*>(&memcpy));
  add("memset", reinterpret_cast<void*>(&memset));
  add("memmove", reinterpret_cast<void*>(&memmove));
  add("memcmp", reinterpret_cast<void*>(&memcmp));
  add("bcmp", reinterpret_cast<void*>(&memcmp));
  add("clock_gettime", reinterpret_cast<void*>(&clock_gettime));
  for (const auto& program : spec.programs) {
    for (size_t i = 0; i < program->insns.size(); i += insn_length(program->insns[i])) {
      if (!is_helper_call(program->insns[i])) continue;
      const Helper* helper = find_helper(static_cast<uint32_t>(program->insns[i].imm));
      if (helper == nullptr || helper->body == nullptr) continue;
      add(llvm::StringRef(helper->symbol), reinterpret_cast<void*>(helper->body));
    }
  }
  return symbols;
}

llvm::Expected<BurstFunction> add_and_find(LLJIT& jit, JITDylib& library, const ObjectCode& code,
                                           const ChainSpec& spec, const ResourceTrackerSP& tracker) {
  if (auto error = library.define(absoluteSymbols(symbols_of(spec, jit)))) return error;
  auto buffer = llvm::MemoryBuffer::getMemBufferCopy({code.elf.data(), code.elf.size()}, "chain");
  if (auto error = jit.addObjectFile(tracker, std::move(buffer))) return error;
  auto symbol = jit.lookup(library, kBurstSymbol);
  if (!symbol) return symbol.takeError();
  return symbol->toPtr<BurstFunction>();
}

}  // namespace

Result<std::unique_ptr<Burst>> link(ObjectCode code, ChainSpec spec) {
  static std::atomic<uint64_t> serial{0};
  auto& made = linker();
  if (!made) return fail(ENOMEM, "jit: the linker could not be made");
  LLJIT& jit = **made;
  auto library = jit.createJITDylib("chain." + std::to_string(serial.fetch_add(1)));
  if (!library) return fail(llvm_error("library", library.takeError()));
  auto tracker = library->createResourceTracker();
  auto function = add_and_find(jit, *library, code, spec, tracker);
  if (!function) {
    llvm::consumeError(tracker->remove());
    llvm::consumeError(jit.getExecutionSession().removeJITDylib(*library));
    return fail(llvm_error("link", function.takeError()));
  }
  return std::make_unique<CompiledBurst>(std::move(spec), jit, *library, std::move(tracker), *function);
}

}  // namespace sluice::bpf::jit
