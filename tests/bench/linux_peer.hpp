// The kernel as a peer: an object loaded by libbpf into the running kernel and run by
// BPF_PROG_TEST_RUN. A module of its own (linux_peer_module.cpp), since the libbpf inside the
// benchmark's executable is wired to sluice's surface.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "tests/bench/peers.hpp"

namespace sluice::bench {

struct TestRun {
  uint32_t retval = 0;
  // a run, as `bpftool prog run` reports it, less what other work of the machine took
  double ns = 0;
};

class LinuxPeer {
 public:
  virtual ~LinuxPeer() = default;
  // `repeat` runs over the frame.
  virtual Result<TestRun> run(const Frame& frame, uint32_t repeat) = 0;
  virtual Status update(const std::string& map, const void* key, const void* value) = 0;
  virtual Status update_batch(const std::string& map, const void* keys, const void* values,
                              uint32_t count) = 0;
  // Every element; per-CPU values are summed over the CPUs, 8 bytes at a time.
  virtual Result<std::map<std::string, std::string>> contents(const std::string& map) = 0;
  // Nanoseconds of CPU time of one more BPF_PROG_LOAD of the same instructions.
  virtual Result<double> load_ns() = 0;
};

// The program `entry` of `object`, all of whose programs are loaded. Socket filters are loaded as
// `filters_as`: BPF_PROG_TYPE_SCHED_CLS, so that they see the Ethernet header, or
// BPF_PROG_TYPE_SOCKET_FILTER.
Result<std::unique_ptr<LinuxPeer>> make_linux_peer(const std::string& object,
                                                   const std::string& entry, uint32_t filters_as);

}  // namespace sluice::bench
