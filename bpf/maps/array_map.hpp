// Array and per-CPU array: creation. Control threads.
#pragma once

#include <memory>

#include "bpf/maps/map.hpp"

namespace sluice::bpf {

Status check_array(const MapSpec& spec);
Result<std::shared_ptr<Map>> create_array(const MapSpec& spec);

}  // namespace sluice::bpf
