// What a perf_event_array holds: events of the kernel, or rings made in user space
// (base/perf_ring.hpp). Control threads.
#pragma once

#include <memory>

#include "bpf/maps/map_memory.hpp"
#include "bpf/maps/perf_ops.hpp"

namespace sluice::bpf {

struct HeldPerfRing {
  UniqueFd file;     // the kernel's event
  MapMemory memory;  // of a ring made in user space
  PerfRing ring;
};

// Keeps a duplicate of the descriptor, or maps the ring. EBADF: neither an event nor a ring that
// cannot shrink.
int hold_perf_ring(int fd, std::shared_ptr<HeldPerfRing>* held);

}  // namespace sluice::bpf
