// The traffic of the benchmarks and our own contestant.
#pragma once

#include <memory>
#include <random>
#include <vector>

#include "base/result.hpp"
#include "bpf/progs/burst.hpp"
#include "tests/bench/peers.hpp"

namespace sluice::bench {

struct Traffic {
  Traffic(uint32_t packets, uint32_t flows);
  std::vector<Frame> frames;
  std::vector<bpf::LinearPacket> linear;

 private:
  std::vector<uint8_t> bytes_;
};

// One compiled program over the traffic, in bursts.
class Sluice {
 public:
  static Result<std::unique_ptr<Sluice>> make(std::shared_ptr<const bpf::AnnotatedProgram> program,
                                              const Traffic& traffic);
  void run(uint32_t* verdicts);

 private:
  Sluice(std::unique_ptr<bpf::Burst> burst, const Traffic& traffic);
  std::unique_ptr<bpf::Burst> burst_;
  std::vector<void*> packets_;
  bpf::RunEnv env_;
  bpf::ProgramCounters counters_;
};

}  // namespace sluice::bench
