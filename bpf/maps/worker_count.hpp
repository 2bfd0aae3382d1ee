// How many workers a map prepares for; one beyond that does without what is a worker's own.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "base/limits.hpp"

namespace sluice::bpf {

inline uint32_t worker_count() {
  return static_cast<uint32_t>(std::clamp(::sysconf(_SC_NPROCESSORS_CONF), 4l, long{kMaxWorkers}));
}

}  // namespace sluice::bpf
