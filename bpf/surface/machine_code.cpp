#include "bpf/surface/machine_code.hpp"

namespace sluice::bpf::surface {

std::shared_ptr<const jit::CompiledProgram> machine_code_of(const Call& call, ProgramObject& program) {
  std::lock_guard guard(program.compiling);
  if (program.compiled || !call.options.compile) return program.machine_code;
  program.compiled = true;
  // Its code would keep the whole object alive, which keeps the code.
  if (auto made = call.options.compile(program.annotated)) program.machine_code = std::move(*made);
  return program.machine_code;
}

}  // namespace sluice::bpf::surface
