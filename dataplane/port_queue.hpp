// A port's queues as a worker uses them.
#pragma once

#include <rte_spinlock.h>

#include "dataplane/queue.hpp"

namespace sluice::dataplane {

class PortRxQueue final : public RxQueue {
 public:
  PortRxQueue(uint16_t port, uint16_t queue) : port_(port), queue_(queue) {}
  uint32_t poll(Batch& batch) override;
  void drop(rte_mbuf** packets, uint32_t count) override;

 private:
  uint16_t port_;
  uint16_t queue_;
};

// `lock` is null where the queue has one worker. A worker that does not get it in a bounded time
// sends nothing: its packets are dropped and counted, as if the queue had been full.
class PortTxQueue final : public TxQueue {
 public:
  PortTxQueue(uint16_t port, uint16_t queue, rte_spinlock_t* lock)
      : lock_(lock), port_(port), queue_(queue) {}
  uint32_t send(rte_mbuf** packets, uint32_t count) override;

 private:
  rte_spinlock_t* lock_;
  uint16_t port_;
  uint16_t queue_;
};

}  // namespace sluice::dataplane
