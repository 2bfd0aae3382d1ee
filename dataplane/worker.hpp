// A worker: polls its receive queues, runs their chains, sends or drops. Never waits for anyone.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bpf/progs/packet_context.hpp"
#include "dataplane/active_chain.hpp"
#include "dataplane/queue.hpp"
#include "dataplane/segments.hpp"

struct rte_rcu_qsbr;

namespace sluice::dataplane {

// worker: rw, control: ro (relaxed)
struct QueueCounters {
  uint64_t packets = 0;
  uint64_t sent = 0;
  uint64_t dropped_verdict = 0;
  uint64_t dropped_action = 0;
  uint64_t dropped_tx_full = 0;
  uint64_t dropped_no_memory = 0;
  uint64_t dropped_redirect = 0;
  uint64_t trimmed = 0;
};
struct WorkerCounters {
  uint64_t iterations = 0;
  uint64_t bursts = 0;
  uint64_t packets = 0;
  uint64_t sleeps = 0;
  uint64_t busy_cycles = 0;
};

// A receive queue, the chain of its port, and the environment its programs see.
struct WorkerQueue {
  RxQueue* rx = nullptr;
  const ChainSlot* chain = nullptr;
  bpf::RunEnv env;
  bool clear_hash = true;  // the port gives no RSS hash: the field is stale
  QueueCounters counters;
};

struct WorkerOptions {
  uint32_t index = 0;
  bool idle_backoff = true;
  rte_rcu_qsbr* rcu = nullptr;  // null: the control thread is the worker
};

class Worker {
 public:
  Worker(const WorkerOptions& options, std::vector<WorkerQueue> queues);

  // Polls each queue once; the packets it got.
  uint32_t run_once();
  // Until `stop`, then until the queues are empty, for drain_milliseconds at most.
  void run(const std::atomic<bool>& stop, unsigned drain_milliseconds);

  [[nodiscard]] const std::vector<WorkerQueue>& queues() const { return queues_; }
  [[nodiscard]] const WorkerCounters& counters() const { return counters_; }
  [[nodiscard]] const WorkerOptions& options() const { return options_; }

 private:
  uint32_t poll(WorkerQueue& queue);
  void process(WorkerQueue& queue, ActiveChain& active);
  void run_singly(void* const* packets, const Chain& chain, bpf::RunEnv& env, ChainRun& run);
  void put_back(WorkerQueue& queue, rte_mbuf* const* views);
  void finish(WorkerQueue& queue, ChainRun& run);
  void send(WorkerQueue& queue, TxQueue* tx, rte_mbuf** packets, uint32_t packet_count,
            uint64_t& not_there);
  void quiesce();
  void idle(uint32_t empty_rounds);

  WorkerOptions options_;
  std::vector<WorkerQueue> queues_;
  WorkerCounters counters_;
  Segments segments_;
  Batch batch_;
};

}  // namespace sluice::dataplane
