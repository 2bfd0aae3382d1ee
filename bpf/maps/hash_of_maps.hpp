// hash_of_maps: creation. Control threads.
#pragma once

#include <memory>

#include "bpf/maps/map.hpp"

namespace sluice::bpf {

Status check_hash_of_maps(const MapSpec& spec);
Result<std::shared_ptr<Map>> create_hash_of_maps(const MapSpec& spec);

}  // namespace sluice::bpf
