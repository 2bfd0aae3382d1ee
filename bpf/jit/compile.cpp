#include <llvm/Support/raw_ostream.h>

#include "bpf/jit/chain_ir.hpp"
#include "bpf/jit/jit.hpp"

namespace sluice::bpf::jit {

Result<ObjectCode> compile(const ChainImage& image, const CompileOptions& options) {
  if (auto good = check_image(image); !good) return tl::unexpected<Error>(good.error());
  auto target = target_machine();
  if (!target) return tl::unexpected<Error>(std::move(target.error()));
  llvm::LLVMContext context;
  auto module = load_runtime(context, **target);
  if (!module) return tl::unexpected<Error>(std::move(module.error()));
  auto chain = lower_programs(**module, image);
  if (!chain) return tl::unexpected<Error>(std::move(chain.error()).in("jit"));
  if (image.entry == ChainImage::Entry::burst) {
    add_burst(**module, *chain, image);
  } else {
    add_program_entry(**module, chain->programs.front());
  }
  if (auto good = check_lowered(**module); !good) return tl::unexpected<Error>(good.error());
  if (auto done = read_used_bodies(**module); !done) return tl::unexpected<Error>(done.error());
  if (auto done = optimise(**module, **target, *chain); !done)
    return tl::unexpected<Error>(done.error());
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

Result<ObjectCode> compile(const ChainSpec& spec, const CompileOptions& options) {
  return compile(make_image(spec), options);
}

Result<std::unique_ptr<Burst>> make_burst(ChainSpec spec) {
  auto code = compile(spec);
  if (!code) return tl::unexpected<Error>(std::move(code.error()));
  return link(std::move(*code), std::move(spec));
}

Result<std::unique_ptr<CompiledProgram>> make_program(
    std::shared_ptr<const AnnotatedProgram> program) {
  auto code = compile(make_program_image(*program));
  if (!code) return tl::unexpected<Error>(std::move(code.error()));
  return link_program(std::move(*code), std::move(program));
}

}  // namespace sluice::bpf::jit
