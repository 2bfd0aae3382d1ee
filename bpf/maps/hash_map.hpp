// Hash and per-CPU hash: creation. Control threads.
#pragma once

#include <memory>

#include "bpf/maps/map.hpp"

namespace sluice::bpf {

Status check_hash(const MapSpec& spec);
Result<std::shared_ptr<Map>> create_hash(const MapSpec& spec);

}  // namespace sluice::bpf
