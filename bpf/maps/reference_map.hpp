// prog_array, array_of_maps, perf_event_array, xskmap: creation, and references to files. Control
// threads.
#pragma once

#include <memory>

#include "bpf/maps/map.hpp"

namespace sluice::bpf {

Status check_reference_array(const MapSpec& spec);
Status check_array_of_maps(const MapSpec& spec);
Result<std::shared_ptr<Map>> create_reference_array(const MapSpec& spec);

// A reference to an open file, of which a duplicate is kept. perf_event: as hold_perf_ring
// (perf_ring.hpp). socket: ENOTSOCK, EOPNOTSUPP for what is not an AF_XDP socket.
int reference_file(ReferenceKind kind, int fd, MapReference* reference);

}  // namespace sluice::bpf
