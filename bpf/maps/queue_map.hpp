// Queue and stack: creation. Control threads.
#pragma once

#include <memory>

#include "bpf/maps/map.hpp"

namespace sluice::bpf {

Status check_queue(const MapSpec& spec);
Result<std::shared_ptr<Map>> create_queue(const MapSpec& spec);

}  // namespace sluice::bpf
