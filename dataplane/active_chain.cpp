#include "dataplane/active_chain.hpp"

#include <algorithm>

#include "dataplane/counters.hpp"

namespace sluice::dataplane {

bpf::ProgramCounters ActiveChain::total(size_t program) const {
  bpf::ProgramCounters sum = before[program];
  for (const ChainRun& run : runs) add(sum, run.counters[program]);
  return sum;
}

uint64_t ActiveChain::cycles() const {
  uint64_t sum = cycles_before;
  for (const ChainRun& run : runs) sum += read_counter(run.cycles);
  return sum;
}

void ActiveChain::continue_from(const ActiveChain& old) {
  cycles_before = old.cycles();
  for (size_t i = 0; i < old.chain.programs.size(); i++) {
    const auto at = std::find(chain.programs.begin(), chain.programs.end(), old.chain.programs[i]);
    if (at != chain.programs.end())
      add(before[static_cast<size_t>(at - chain.programs.begin())], old.total(i));
  }
}

}  // namespace sluice::dataplane
