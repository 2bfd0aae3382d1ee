// Puts a hash table in order that a killed process left behind. What its buckets refer to is the
// map; everything else is free. Locks and sequences start anew. Control threads, before anything
// uses the table.
#pragma once

#include "base/result.hpp"
#include "bpf/maps/map_core.hpp"

namespace sluice::bpf {

// `core`: of the new map, with table and values mapped. EBADMSG: no state that a kill can leave;
// the text says where.
Status hash_recover(const MapCore& core);

}  // namespace sluice::bpf
