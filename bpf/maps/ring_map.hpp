// Ring buffer: creation. Control threads.
#pragma once

#include <memory>

#include "bpf/maps/map.hpp"

namespace sluice::bpf {

Status check_ring(const MapSpec& spec);
Result<std::shared_ptr<Map>> create_ring(const MapSpec& spec);

}  // namespace sluice::bpf
