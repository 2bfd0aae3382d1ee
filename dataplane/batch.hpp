// A burst of packets on its way through a worker.
#pragma once

#include <cstdint>

#include "base/limits.hpp"

struct rte_mbuf;

namespace sluice::dataplane {

struct Batch {
  uint32_t count = 0;
  rte_mbuf* packets[kBurst];
  uint32_t verdicts[kBurst];
};

}  // namespace sluice::dataplane
