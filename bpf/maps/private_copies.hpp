// Where a worker adds to an array's values: to a copy of its own where all programs only add
// (array_copies.hpp), without lock prefix and on cache lines that no other core has; else to the
// values. Shared by the binary and the JIT's bitcode.
#pragma once

#include <cstdint>

namespace sluice::bpf {

// Constant once there are copies; they are there as long as the map.
struct PrivateCopies {
  uint8_t* values = nullptr;  // MapCore::values
  // Worker 0's. A worker's copy is written by that worker alone, for ever, but for the control
  // side's fold, after which nobody adds to it any more. Null: there are none.
  uint8_t* copies = nullptr;
  uint64_t distance = 0;  // from a worker's copy to the next one's, bytes
  const uint32_t* adding =
      nullptr;  // workers below this add to their copies. worker: ro, control: rw
};

// `writer`: the worker's index, or kNoWorker, which adds to the values: right at any time.
template <class Word>
[[gnu::always_inline]] inline void add_privately(const PrivateCopies& to, uint32_t writer,
                                                 void* field, Word amount) {
  if (__builtin_expect(writer < __atomic_load_n(to.adding, __ATOMIC_RELAXED), 1)) {
    const uint64_t away =
        reinterpret_cast<uint64_t>(to.copies) - reinterpret_cast<uint64_t>(to.values);
    const uint64_t place = reinterpret_cast<uint64_t>(field) + away + writer * to.distance;
    auto* own = reinterpret_cast<Word*>(place);
    __atomic_store_n(own, __atomic_load_n(own, __ATOMIC_RELAXED) + amount, __ATOMIC_RELAXED);
  } else {
    __atomic_fetch_add(static_cast<Word*>(field), amount, __ATOMIC_RELAXED);
  }
}

}  // namespace sluice::bpf
