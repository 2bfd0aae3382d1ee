// What a former daemon's pins refer to, here again. Private to bpf/surface.
#pragma once

#include "bpf/surface/call.hpp"

namespace sluice::bpf::surface {

// BpfSurface::open_pins.
Status restore_pins(BpfSurface::State& state, const std::string& directory);

// BpfSurface::attach_pinned.
void attach_pinned(BpfSurface::State& state);

}  // namespace sluice::bpf::surface
