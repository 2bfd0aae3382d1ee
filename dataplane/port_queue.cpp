#include "dataplane/port_queue.hpp"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

namespace sluice::dataplane {

uint32_t PortRxQueue::poll(Batch& batch) {
  batch.count = rte_eth_rx_burst(port_, queue_, batch.packets, kBurst);
  return batch.count;
}

void PortRxQueue::drop(rte_mbuf** packets, uint32_t count) {
  rte_pktmbuf_free_bulk(packets, count);
}

uint32_t PortTxQueue::send(rte_mbuf** packets, uint32_t count) {
  if (lock_ == nullptr) [[likely]]
    return rte_eth_tx_burst(port_, queue_, packets, static_cast<uint16_t>(count));
  constexpr int kTries = 1000;
  for (int i = 0; i < kTries; i++) {
    if (rte_spinlock_trylock(lock_) != 0) {
      const uint32_t sent = rte_eth_tx_burst(port_, queue_, packets, static_cast<uint16_t>(count));
      rte_spinlock_unlock(lock_);
      return sent;
    }
    rte_pause();
  }
  return 0;
}

}  // namespace sluice::dataplane
