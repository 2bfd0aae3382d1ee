// What a chain of one program makes of its return value: for the peers, who have no chains. Any
// thread.
#pragma once

#include "bpf/progs/chain_step.hpp"

namespace sluice::bench {

// Of a packet of `length` bytes. xdp and sched_cls programs pass it whole or drop it: no row sends
// it elsewhere.
inline uint32_t verdict_of(uint32_t type, uint32_t result, uint32_t length) {
  if (!bpf::forwards(type)) return result < length ? result : length;
  const bpf::Step step = bpf::step_of(type, result);
  const bool passes = step == bpf::Step::next || step == bpf::Step::pass;
  return passes ? bpf::kToAction << bpf::kVerdictPortShift | length : 0;
}

}  // namespace sluice::bench
