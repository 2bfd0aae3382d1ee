// What the elements of a prog_array or map-in-map refer to, by number of the object's record in the
// store: pointers end with the process, this does not. A hash from the map's key to 8 bytes, so
// that each element is there or not after a kill. Control threads.
#pragma once

#include <memory>

#include "bpf/maps/map.hpp"

namespace sluice::bpf {

// In the store of `spec`; null: it has none. errors: Map::create's.
Result<std::shared_ptr<Map>> create_kept_references(const MapSpec& spec);

}  // namespace sluice::bpf
