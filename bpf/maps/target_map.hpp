// devmap, devmap_hash and cpumap: creation. They are filled with Linux's checks; redirecting to
// them is not there yet, so an interface index is not looked up, and a program at a target is
// refused. Control threads.
#pragma once

#include <memory>

#include "bpf/maps/map.hpp"

namespace sluice::bpf {

Status check_devmap(const MapSpec& spec);
Status check_cpumap(const MapSpec& spec);
Result<std::shared_ptr<Map>> create_target_array(const MapSpec& spec);
Result<std::shared_ptr<Map>> create_devmap_hash(const MapSpec& spec);

}  // namespace sluice::bpf
