// Where a worker's packets come from and go to: a port's queues here, a capture in
// capture_queue.hpp. One call a burst.
#pragma once

#include <cstdint>

#include "dataplane/batch.hpp"

namespace sluice::dataplane {

class RxQueue {
 public:
  virtual ~RxQueue() = default;
  // Fills the batch; 0 packets when none wait.
  virtual uint32_t poll(Batch& batch) = 0;
  // Takes packets back that go no further.
  virtual void drop(rte_mbuf** packets, uint32_t count) = 0;
};

class TxQueue {
 public:
  virtual ~TxQueue() = default;
  // Returns how many it took, from the front; the rest stay the caller's.
  virtual uint32_t send(rte_mbuf** packets, uint32_t count) = 0;
};

}  // namespace sluice::dataplane
