// LPM trie: creation. Control threads.
#pragma once

#include <memory>

#include "bpf/maps/map.hpp"

namespace sluice::bpf {

Status check_lpm(const MapSpec& spec);
Result<std::shared_ptr<Map>> create_lpm(const MapSpec& spec);

}  // namespace sluice::bpf
