// Linking by LLVM's ORC, used as a linker only. JITLink writes the code to fresh pages and then
// makes them executable and read-only: no page is ever both. Nothing resolves but the named helpers
// of the chain's own programs.
#include <llvm/ExecutionEngine/JITLink/JITLinkMemoryManager.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Support/TargetSelect.h>

#include <atomic>
#include <cstring>

#include "bpf/helpers/helper.hpp"
#include "bpf/jit/chain_ir.hpp"
#include "bpf/jit/jit.hpp"
#include "bpf/maps/hash_ops.hpp"

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

// Code that was linked: unlinked and freed with this.
struct Linked {
  Linked(LLJIT& jit, JITDylib& library)
      : jit(jit), library(library), tracker(library.createResourceTracker()) {}
  Linked(const Linked&) = delete;
  Linked& operator=(const Linked&) = delete;
  ~Linked() {
    llvm::consumeError(tracker->remove());
    llvm::consumeError(jit.getExecutionSession().removeJITDylib(library));
  }
  LLJIT& jit;
  JITDylib& library;
  ResourceTrackerSP tracker;
};

class CompiledBurst final : public Burst {
 public:
  CompiledBurst(ChainSpec spec, std::unique_ptr<Linked> linked, BurstFunction function)
      : spec_(std::move(spec)), linked_(std::move(linked)), function_(function) {}
  void run(void* const* packets, uint32_t count, uint32_t* verdicts, RunEnv* env,
           ProgramCounters* counters) const override {
    function_(packets, count, verdicts, env, counters);
  }

 private:
  ChainSpec spec_;  // keeps the maps whose addresses are in the code
  std::unique_ptr<Linked> linked_;
  BurstFunction function_;
};

class LinkedProgram final : public CompiledProgram {
 public:
  LinkedProgram(std::shared_ptr<const AnnotatedProgram> program, std::unique_ptr<Linked> linked,
                TailCode code, uint64_t size)
      : program_(std::move(program)), linked_(std::move(linked)), code_(code), size_(size) {}
  [[nodiscard]] TailCode code() const override { return code_; }
  [[nodiscard]] std::string_view machine_code() const override {
    return {reinterpret_cast<const char*>(code_), static_cast<size_t>(size_)};
  }

 private:
  std::shared_ptr<const AnnotatedProgram> program_;
  std::unique_ptr<Linked> linked_;
  TailCode code_;
  uint64_t size_;
};

using Programs = std::vector<std::shared_ptr<const AnnotatedProgram>>;

// The bodies that the programs call by address, and the few C functions that code generation may
// call.
SymbolMap symbols_of(const Programs& programs, LLJIT& jit) {
  SymbolMap symbols;
  const auto add = [&](llvm::StringRef name, void* address) {
    symbols[jit.mangleAndIntern(name)] = {
        ExecutorAddr::fromPtr(address),
        llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
  };
  add("memcpy", reinterpret_cast<void*>(&memcpy));
  add("memset", reinterpret_cast<void*>(&memset));
  add("memmove", reinterpret_cast<void*>(&memmove));
  add("memcmp", reinterpret_cast<void*>(&memcmp));
  add("bcmp", reinterpret_cast<void*>(&memcmp));
  add("sluice_hash_find_slowly", reinterpret_cast<void*>(&sluice_hash_find_slowly));
  add("sluice_hash_lock_slowly", reinterpret_cast<void*>(&sluice_hash_lock_slowly));
  add("sluice_hash_take_slowly", reinterpret_cast<void*>(&sluice_hash_take_slowly));
  add("sluice_hash_give_slowly", reinterpret_cast<void*>(&sluice_hash_give_slowly));
  add("sluice_hash_is_full_slowly", reinterpret_cast<void*>(&sluice_hash_is_full_slowly));
  add("sluice_hash_reserve_slowly", reinterpret_cast<void*>(&sluice_hash_reserve_slowly));
  add("sluice_hash_uncount_slowly", reinterpret_cast<void*>(&sluice_hash_uncount_slowly));
  for (const auto& program : programs) {
    for (size_t i = 0; i < program->insns.size(); i += insn_length(program->insns[i])) {
      if (!is_helper_call(program->insns[i])) continue;
      const Helper* helper = find_helper(static_cast<uint32_t>(program->insns[i].imm));
      if (helper == nullptr || helper->body == nullptr) continue;
      add(llvm::StringRef(helper->symbol), reinterpret_cast<void*>(helper->body));
    }
  }
  return symbols;
}

// The size of a function in the object file; 0 if there is none of the name.
uint64_t size_of(const ObjectCode& code, llvm::StringRef name) {
  auto file =
      llvm::object::ObjectFile::createELFObjectFile({{code.elf.data(), code.elf.size()}, "code"});
  if (!file) {
    llvm::consumeError(file.takeError());
    return 0;
  }
  for (const llvm::object::ELFSymbolRef symbol : (*file)->symbols()) {
    auto symbol_name = symbol.getName();
    if (symbol_name && *symbol_name == name) return symbol.getSize();
    if (!symbol_name) llvm::consumeError(symbol_name.takeError());
  }
  return 0;
}

// Links `code` and looks up its entry.
Result<std::unique_ptr<Linked>> link_code(const ObjectCode& code, const Programs& programs,
                                          const char* name, ExecutorAddr* entry) {
  static std::atomic<uint64_t> serial{0};
  auto& made = linker();
  if (!made) return fail(ENOMEM, "jit: the linker could not be made");
  LLJIT& jit = **made;
  auto library = jit.createJITDylib("code." + std::to_string(serial.fetch_add(1)));
  if (!library) return fail(llvm_error("library", library.takeError()));
  auto linked = std::make_unique<Linked>(jit, *library);
  if (auto error = library->define(absoluteSymbols(symbols_of(programs, jit)))) {
    return fail(llvm_error("symbols", std::move(error)));
  }
  auto buffer = llvm::MemoryBuffer::getMemBufferCopy({code.elf.data(), code.elf.size()}, "code");
  if (auto error = jit.addObjectFile(linked->tracker, std::move(buffer))) {
    return fail(llvm_error("link", std::move(error)));
  }
  auto symbol = jit.lookup(*library, name);
  if (!symbol) return fail(llvm_error("link", symbol.takeError()));
  *entry = *symbol;
  return linked;
}

}  // namespace

Result<std::unique_ptr<Burst>> link(ObjectCode code, ChainSpec spec) {
  ExecutorAddr entry;
  auto linked = link_code(code, spec.programs, kBurstSymbol, &entry);
  if (!linked) return tl::unexpected<Error>(std::move(linked.error()));
  return std::make_unique<CompiledBurst>(std::move(spec), std::move(*linked),
                                         entry.toPtr<BurstFunction>());
}

Result<std::unique_ptr<CompiledProgram>> link_program(
    ObjectCode code, std::shared_ptr<const AnnotatedProgram> program) {
  ExecutorAddr entry;
  auto linked = link_code(code, {program}, kProgramSymbol, &entry);
  if (!linked) return tl::unexpected<Error>(std::move(linked.error()));
  return std::make_unique<LinkedProgram>(std::move(program), std::move(*linked),
                                         entry.toPtr<TailCode>(), size_of(code, kProgramSymbol));
}

}  // namespace sluice::bpf::jit
