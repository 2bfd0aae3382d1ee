// perf_event_open(2) for `sluice exec`, as far as bpf_perf_event_output needs it: the kernel alone
// writes to its events, so the command gets a memory file laid out like a perf ring
// (base/perf_ring.hpp), which the daemon writes to. Main thread.
#pragma once

#include <linux/perf_event.h>
#include <sys/types.h>

#include <cstdint>
#include <set>
#include <utility>

#include "base/unique_fd.hpp"

namespace sluice::cli {

class ExecEvents {
 public:
  // A new ring of that CPU; empty and errno where there is no memory.
  UniqueFd open(uint32_t cpu, const perf_event_attr& wanted);
  // Whether the descriptor is one of the rings.
  [[nodiscard]] bool has(int fd) const;
  // The command is about to map so many bytes of the ring: as the kernel does, says where its data
  // is. 0 or -EINVAL.
  static int map(int fd, uint64_t bytes, uint64_t offset);

 private:
  std::set<std::pair<dev_t, ino_t>> rings_;
};

}  // namespace sluice::cli
