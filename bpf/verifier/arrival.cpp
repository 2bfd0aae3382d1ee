// Arriving where paths meet: is this state one that has been seen, and is it worth remembering?
#include <algorithm>

#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

// When a checkpoint is made, and when one that never covers anything is given up: Linux's measures,
// so that a program that is just within its budget there is within ours.
constexpr uint64_t kMinJumps = 2;
constexpr uint64_t kMinInsns = 8;
constexpr uint64_t kLoopJumps = 20;
constexpr uint64_t kLoopInsns = 100;
constexpr uint32_t kMaxMarks = 40;
constexpr uint32_t kPatience = 3;
constexpr uint32_t kCallbackPatience = 64;

}  // namespace

// loops: the state is one that its own path has been in.
bool Analysis::is_hit(Checkpoint* point, bool* loops) {
  if (point->branches == 0 && point->awaits == nullptr)
    return covers(point->state, state_, insn_, cfg_, Match::safe);
  // One more round of a callback brings nothing new; or this state leads into a loop whose end is
  // not known.
  if (point->branches == 0 || cfg_.forced[insn_] != 0)
    return covers(point->state, state_, insn_, cfg_, Match::within);
  *loops = maybe_looping(point->state, state_) &&
           covers(point->state, state_, insn_, cfg_, Match::exact);
  return false;
}

bool Analysis::fail_loop(const State& before) {
  if (logging()) log_source();
  fail(EINVAL, "infinite loop detected at insn %u", insn_);
  if (input_.log_level != 0) {
    log_ += "cur state:" + frame_text(top_frame()) +
            "\nold state:" + frame_text(before, top_frame()) + "\n";
  }
  return false;
}

// A number without copies needs no id; with one it would match fewer states.
void Analysis::drop_single_ids(State* state) {
  auto linked = [](const Register& reg) { return reg.is_scalar() && reg.id != 0; };
  ids_.clear();
  state->for_each_register([&](Register& reg) {
    if (linked(reg)) ids_.push_back(reg.id);
  });
  if (ids_.empty()) return;
  std::sort(ids_.begin(), ids_.end());
  state->for_each_register([&](Register& reg) {
    if (!linked(reg)) return;
    const auto [first, last] = std::equal_range(ids_.begin(), ids_.end(), reg.id);
    if (last - first == 1) reg.unlink();
  });
}

Arrival Analysis::arrive() {
  const bool forced = cfg_.forced[insn_] != 0 || marks_since_ > kMaxMarks ||
                      (input_.flags & BPF_F_TEST_STATE_FREQ) != 0;
  const uint64_t jumps = jumps_ - last_jumps_;
  const uint64_t insns = processed_ - last_processed_;
  bool add = forced || (jumps >= kMinJumps && insns >= kMinInsns);
  auto& list = pruner_.at(insn_);
  const size_t seen = list.size();
  for (size_t i = list.size(); i-- > 0;) {
    Checkpoint* point = list[i].get();
    bool loops = false;
    if (is_hit(point, &loops)) {
      point->hits++;
      const bool finished = point->branches == 0 && point->awaits == nullptr;
      note_seen_as_numbers(point->state, !finished);
      if (finished) {
        inherit(point, position(), written_slots());
      } else {
        close_loop(point);
      }
      return Arrival::covered;
    }
    if (loops) {
      fail_loop(point->state);
      return Arrival::failed;
    }
    // Rounds of a loop differ from one another: remembering each helps no later path.
    if (point->branches != 0 && cfg_.forced[insn_] == 0 && !forced && jumps < kLoopJumps &&
        insns < kLoopInsns) {
      add = false;
    }
    if (add) point->misses++;
    const uint32_t patience =
        cfg_.forced[insn_] != 0 && point->branches != 0 ? kCallbackPatience : kPatience;
    if (point->misses > point->hits * patience + patience) pruner_.drop(&list, i);
  }
  pruner_.note_seen(seen);
  if (add) checkpoint();
  return Arrival::fresh;
}

void Analysis::checkpoint() {
  last_jumps_ = jumps_;
  last_processed_ = processed_;
  marks_since_ = 0;
  parent_ = pruner_.add(insn_, copy_for_checkpoint(), parent_, path_node_);
}

// Numbers are followed back to the last checkpoint that had them marked. Where there is none for
// long, as in code without jumps, each would be followed all the way.
void Analysis::waypoint() {
  parent_ = pruner_.add_waypoint(insn_, copy_for_checkpoint(), parent_, path_node_);
}

State Analysis::copy_for_checkpoint() {
  steps_since_ = 0;
  State copy = state_;
  drop_single_ids(&copy);
  for (Frame& frame : copy.frames) frame.live_slots = 0;
  for (Frame& frame : state_.frames) frame.written = 0;
  return copy;
}

}  // namespace sluice::bpf
