// Counters with one writer, read by other threads while they run: plain numbers, relaxed accesses,
// no lock prefix.
#pragma once

#include <cstdint>

#include "bpf/progs/burst.hpp"

namespace sluice::dataplane {

inline void count(uint64_t& counter, uint64_t n = 1) {
  __atomic_store_n(&counter, counter + n, __ATOMIC_RELAXED);
}
inline uint64_t read_counter(const uint64_t& counter) {
  return __atomic_load_n(&counter, __ATOMIC_RELAXED);
}

inline void add(bpf::ProgramCounters& sum, const bpf::ProgramCounters& part) {
  sum.run += read_counter(part.run);
  sum.passed += read_counter(part.passed);
  sum.trimmed += read_counter(part.trimmed);
  sum.transmitted += read_counter(part.transmitted);
  sum.redirected += read_counter(part.redirected);
}

}  // namespace sluice::dataplane
