// State pruning: a path that arrives where an earlier, finished path with no fewer possibilities
// went on safely need not be walked again. An arrival at a state that its own path has been in is
// an infinite loop.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "bpf/verifier/cfg.hpp"
#include "bpf/verifier/history.hpp"
#include "bpf/verifier/state.hpp"

namespace sluice::bpf {

// A state as it was on arrival. While `branches` is not zero, paths through it are unfinished: then
// it is on the path being walked, and it proves nothing yet.
struct Checkpoint {
  State state;
  Checkpoint* parent = nullptr;
  uint32_t history = kNoNode;  // the last instruction executed before it
  uint32_t insn = 0;
  uint32_t branches = 0;
  uint32_t hits = 0;
  uint32_t misses = 0;
  uint32_t depth = 0;  // checkpoints before it on its path
  // An unfinished state that a loop through this one led back to: what matters there is not known
  // yet, so neither is what matters here. Null: all is known once `branches` is zero.
  Checkpoint* awaits = nullptr;
  size_t bytes = 0;
  // nothing is compared with it any more; it stays until its paths have ended
  bool dropped = false;
};

// How two states are compared.
enum class Match : uint8_t {
  // whatever is safe from the old one is safe from the new; numbers that never mattered may differ
  safe,
  within,  // the same, all numbers within the old ones
  exact,   // the same but for dead registers
};

class Pruner {
 public:
  void reset(size_t insns) { lists_.resize(insns); }
  using Checkpoints = std::vector<std::unique_ptr<Checkpoint>>;
  [[nodiscard]] Checkpoints& at(uint32_t insn) { return lists_[insn]; }
  // Remembers the state, for later paths to be compared with.
  Checkpoint* add(uint32_t insn, State state, Checkpoint* parent, uint32_t history);
  // Holds the state while its path lasts, for no comparison.
  Checkpoint* add_waypoint(uint32_t insn, State state, Checkpoint* parent, uint32_t history);
  void drop(Checkpoints* list, size_t index);
  // A state has been compared with so many.
  void note_seen(size_t count) { most_per_insn_ = std::max<uint64_t>(most_per_insn_, count); }
  // One more path, or one path fewer, runs through the checkpoint and those before it.
  static void open(Checkpoint* point) {
    if (point != nullptr) point->branches++;
  }
  // Its last path has ended: one that was dropped is held no longer.
  void close(const Checkpoint& point) { held_ -= point.dropped ? 1 : 0; }

  [[nodiscard]] uint64_t total() const { return total_; }
  [[nodiscard]] uint64_t peak() const { return peak_; }
  [[nodiscard]] uint64_t most_per_insn() const { return most_per_insn_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  std::unique_ptr<Checkpoint> make(uint32_t insn, State state, Checkpoint* parent,
                                   uint32_t history);
  void put_in_limbo(std::unique_ptr<Checkpoint> point);

  std::vector<Checkpoints> lists_;  // one an instruction
  Checkpoints limbo_;               // in no list, but paths through them were unfinished
  size_t sweep_at_ = 64;
  uint64_t total_ = 0;
  uint64_t held_ = 0;
  uint64_t peak_ = 0;
  uint64_t most_per_insn_ = 0;
  size_t bytes_ = 0;
};

bool covers(const State& old, const State& now, uint32_t insn, const Cfg& cfg, Match match);
// Cheaper than covers(..., exact), and never false where that is true.
bool maybe_looping(const State& old, const State& now);
// The instruction at which a frame goes on: the top one's is `insn`.
uint32_t frame_insn(const State& state, size_t frame, uint32_t insn);

}  // namespace sluice::bpf
