// A chain as workers hold it: published by an atomic pointer per port, with a part of its own for
// each worker.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/limits.hpp"
#include "dataplane/chain.hpp"
#include "dataplane/queue.hpp"

namespace sluice::dataplane {

// worker: rw, control: ro (relaxed)
struct alignas(64) ChainRun {
  bpf::ProgramCounters counters[kMaxChainPrograms];
  uint64_t cycles = 0;    // in the programs
  TxQueue* tx = nullptr;  // where what passes goes; null drops it
  // of every port, for programs that choose one; null: it cannot transmit
  std::vector<TxQueue*> out;
};

struct ActiveChain {
  Chain chain;
  std::vector<ChainRun> runs;                // one a worker
  std::vector<bpf::ProgramCounters> before;  // of the chains it replaced, by program name
  uint64_t cycles_before = 0;

  [[nodiscard]] bpf::ProgramCounters total(size_t program) const;
  [[nodiscard]] uint64_t cycles() const;
  // Goes on counting where `old` stopped, for programs of the same name.
  void continue_from(const ActiveChain& old);
};

using ChainSlot = std::atomic<ActiveChain*>;  // control: rw, workers: ro

}  // namespace sluice::dataplane
