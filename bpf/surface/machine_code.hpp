// A program in machine code, made at its first use and kept with it. Private to bpf/surface.
#pragma once

#include <memory>

#include "bpf/surface/surface.hpp"

namespace sluice::bpf::surface {

// Null where the JIT is off or cannot compile it. Tens of milliseconds the first time.
std::shared_ptr<const jit::CompiledProgram> machine_code_of(const SurfaceOptions& options,
                                                            const Caller& caller,
                                                            ProgramObject& program);

}  // namespace sluice::bpf::surface
