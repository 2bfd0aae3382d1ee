// A program of ours compiled and run over packets, in bursts as a worker runs it.
#pragma once

#include <memory>
#include <vector>

#include "base/result.hpp"
#include "bpf/progs/burst.hpp"

namespace sluice::bench {

class Runner {
 public:
  // `packets` (of the layout) outlive it.
  static Result<std::unique_ptr<Runner>> make(std::shared_ptr<const bpf::AnnotatedProgram> program,
                                              const bpf::PacketLayout& layout,
                                              const std::vector<void*>& packets,
                                              uint32_t worker = 0);
  void run(uint32_t* verdicts);  // one a packet
  [[nodiscard]] const bpf::ProgramCounters& counters() const { return counters_; }

 private:
  Runner(std::unique_ptr<bpf::Burst> burst, const std::vector<void*>& packets, uint32_t worker)
      : burst_(std::move(burst)), packets_(packets), env_{.slot = worker, .writer = worker} {}
  std::unique_ptr<bpf::Burst> burst_;
  const std::vector<void*>& packets_;
  bpf::RunEnv env_;
  bpf::ProgramCounters counters_;
};

}  // namespace sluice::bench
