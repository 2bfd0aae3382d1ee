#include "bpf/surface/machine_code.hpp"

namespace sluice::bpf::surface {

std::shared_ptr<const jit::CompiledProgram> machine_code_of(const SurfaceOptions& options,
                                                            const Caller& caller,
                                                            ProgramObject& program) {
  std::unique_lock guard(program.compiling, std::try_to_lock);
  if (!guard) {
    if (caller.defer()) return nullptr;
    guard.lock();
  }
  if (program.compiled || !options.compile) return program.machine_code;
  if (caller.defer()) return nullptr;
  program.compiled = true;
  // Its code would keep the whole object alive, which keeps the code.
  if (auto made = options.compile(program.annotated)) program.machine_code = std::move(*made);
  return program.machine_code;
}

}  // namespace sluice::bpf::surface
