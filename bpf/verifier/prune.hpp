// State pruning: a path that arrives where an earlier, finished path with no fewer possibilities went on safely need not
// be walked again. An arrival at a state that its own path has been in is an infinite loop.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bpf/verifier/cfg.hpp"
#include "bpf/verifier/state.hpp"

namespace sluice::bpf {

// A state as it was on arrival. While `branches` is not zero, paths through it are unfinished: then it is on the path
// being walked, and it proves nothing yet.
struct Checkpoint {
  State state;
  Checkpoint* parent = nullptr;
  uint32_t branches = 0;
  uint32_t hits = 0;
  uint32_t misses = 0;
};

enum class Arrival : uint8_t { fresh, covered, loops };

class Pruner {
 public:
  void reset(size_t insns) { lists_.resize(insns); }
  Arrival arrive(uint32_t insn, const State& state, const Cfg& cfg);
  // Remembers the state and makes it the path's last checkpoint.
  Checkpoint* add(uint32_t insn, const State& state, Checkpoint* parent);
  // One more path, or one path fewer, runs through the checkpoint and those before it.
  static void open(Checkpoint* point) {
    if (point != nullptr) point->branches++;
  }
  void close(Checkpoint* point);

  [[nodiscard]] uint64_t total() const { return total_; }
  [[nodiscard]] uint64_t peak() const { return peak_; }
  [[nodiscard]] uint64_t most_per_insn() const { return most_per_insn_; }

 private:
  using Checkpoints = std::vector<std::unique_ptr<Checkpoint>>;
  void drop(Checkpoints* list, size_t index);

  std::vector<Checkpoints> lists_;  // one an instruction
  Checkpoints limbo_;               // dropped while paths through them were unfinished
  uint64_t total_ = 0;
  uint64_t held_ = 0;
  uint64_t peak_ = 0;
  uint64_t most_per_insn_ = 0;
};

// Whatever is safe from `old` is safe from `now`; exact: the two are the same but for dead registers.
bool covers(const State& old, const State& now, uint32_t insn, const Cfg& cfg, bool exact);

}  // namespace sluice::bpf
