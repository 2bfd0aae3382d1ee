// Callbacks are walked in rounds, until a round brings nothing new: it ends at a state that is
// unfinished itself. What matters there is known only when all its paths have ended. Until then
// states on the loop are compared whole; then marks are carried round the loop until there are no
// new ones.
#include <algorithm>

#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

// The outermost state that a loop through this one hangs on; itself if there is none.
Checkpoint* root_of(Checkpoint* point) {
  while (point->awaits != nullptr) point = point->awaits;
  return point;
}

}  // namespace

Analysis::WrittenSlots Analysis::written_slots() const {
  WrittenSlots out{};
  for (size_t f = 0; f < state_.frames.size(); f++) out[f] = state_.frames[f].written;
  return out;
}

// The present path ends here, as what `to` covers.
void Analysis::close_loop(Checkpoint* to) {
  loop_edges_.push_back({to, position(), written_slots()});
  Checkpoint* head = to;
  while (head->branches == 0) head = head->awaits;
  // The head is unfinished, so the present path came through it. All between hang on it, or on one
  // further out.
  for (Checkpoint* point = parent_; point != head; point = point->parent) {
    if (point->awaits == nullptr) awaiting_.push_back(point);
    if (point->awaits == nullptr || head->depth < point->awaits->depth) point->awaits = head;
  }
}

void Analysis::end_path() {
  for (Checkpoint* point = parent_; point != nullptr && --point->branches == 0;
       point = point->parent) {
    pruner_.close(*point);
    if (point->awaits == nullptr && !loop_edges_.empty()) settle_loops(point);
  }
}

// All paths through `root` have ended, and it hangs on none.
void Analysis::settle_loops(Checkpoint* root) {
  const auto first =
      std::stable_partition(loop_edges_.begin(), loop_edges_.end(),
                            [root](const LoopEdge& edge) { return root_of(edge.to) != root; });
  for (uint64_t before = marks_made_ - 1; before != marks_made_;) {
    before = marks_made_;
    for (auto edge = first; edge != loop_edges_.end(); edge++)
      inherit(edge->to, edge->from, edge->written);
  }
  loop_edges_.erase(first, loop_edges_.end());
  const auto settled =
      std::stable_partition(awaiting_.begin(), awaiting_.end(),
                            [root](Checkpoint* point) { return root_of(point) != root; });
  for (auto point = settled; point != awaiting_.end(); point++) (*point)->awaits = nullptr;
  awaiting_.erase(settled, awaiting_.end());
}

}  // namespace sluice::bpf
