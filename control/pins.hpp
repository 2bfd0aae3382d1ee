// The configuration's pins: the directory, programs that have a pin, maps named by their pin's
// path. Main thread.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "bpf/loader/loader.hpp"
#include "config/schema.hpp"

namespace sluice::control {

// Makes the directory with its owner and mode and brings back what is pinned in it. Nothing without
// a `pins` section.
Status open_pins(const config::Config& config, bpf::BpfSurface& surface);

// Loads a program that has a `pin`. What the pin holds is used again where it is the same program
// with maps of the same shape; else the new program takes maps of equal name and shape over, and
// pin_program the pin.
Result<bpf::LoadedProgram> load_pinned(const config::Config& config, bpf::BpfSurface& surface,
                                       const config::Program& program);

// Puts the pin of the program `id`, unless it is there.
Status pin_program(const config::Config& config, bpf::BpfSurface& surface,
                   const config::Program& program, uint32_t id);

// The map pinned at `path` of the pin directory. ENOENT, EACCES, EINVAL (it is no map).
Result<std::shared_ptr<bpf::Map>> pinned_map(const config::Config& config, bpf::BpfSurface& surface,
                                             const std::string& path);

}  // namespace sluice::control
