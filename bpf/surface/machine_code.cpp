#include "bpf/surface/machine_code.hpp"

namespace sluice::bpf::surface {

std::shared_ptr<const jit::CompiledProgram> machine_code_of(const Call& call, ProgramObject& program) {
  std::unique_lock guard(program.compiling, std::try_to_lock);
  if (!guard) {
    if (call.defer()) return nullptr;
    guard.lock();
  }
  if (program.compiled || !call.options.compile) return program.machine_code;
  if (call.defer()) return nullptr;
  program.compiled = true;
  // Its code would keep the whole object alive, which keeps the code.
  if (auto made = call.options.compile(program.annotated)) program.machine_code = std::move(*made);
  return program.machine_code;
}

}  // namespace sluice::bpf::surface
