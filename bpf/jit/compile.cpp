#include <llvm/Support/raw_ostream.h>

#include "base/limits.hpp"
#include "bpf/jit/chain_ir.hpp"
#include "bpf/jit/jit.hpp"

namespace sluice::bpf::jit {

Result<ObjectCode> compile(const ChainSpec& spec, const CompileOptions& options) {
  if (spec.programs.size() > kMaxChainPrograms) {
    return fail(E2BIG, "jit: a chain has at most " + std::to_string(kMaxChainPrograms) + " programs");
  }
  auto target = make_target_machine();
  if (!target) return tl::unexpected<Error>(std::move(target.error()));
  llvm::LLVMContext context;
  auto module = load_runtime(context, **target);
  if (!module) return tl::unexpected<Error>(std::move(module.error()));
  auto programs = lower_programs(**module, spec);
  if (!programs) return tl::unexpected<Error>(std::move(programs.error()).in("jit"));
  if (auto done = read_used_bodies(**module); !done) return tl::unexpected<Error>(done.error());
  if (auto done = optimise(**module, **target, Phase::programs); !done) return tl::unexpected<Error>(done.error());
  add_burst(**module, *programs, spec.layout);
  if (auto done = optimise(**module, **target, Phase::chain); !done) return tl::unexpected<Error>(done.error());
  ObjectCode code;
  if (options.keep_ir) {
    llvm::raw_string_ostream out(code.ir);
    (*module)->print(out, nullptr);
  }
  auto object = emit_object(**module, **target);
  if (!object) return tl::unexpected<Error>(std::move(object.error()));
  code.elf = std::move(*object);
  return code;
}

Result<std::unique_ptr<Burst>> make_burst(ChainSpec spec) {
  auto code = compile(spec);
  if (!code) return tl::unexpected<Error>(std::move(code.error()));
  return link(std::move(*code), std::move(spec));
}

}  // namespace sluice::bpf::jit
