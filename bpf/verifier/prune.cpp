#include "bpf/verifier/prune.hpp"

#include <algorithm>

namespace sluice::bpf {
namespace {

// Which id of the old state stands for which id of the new one. Both ways one to one.
class IdMap {
 public:
  bool match(uint32_t old_id, uint32_t now_id) {
    if ((old_id == 0) != (now_id == 0)) return false;
    return old_id == 0 || pair(old_id, now_id);
  }
  // A number that was not linked may stand for one that is; one without copies is like one that
  // only it is a copy of.
  bool match_number(uint32_t old_id, uint32_t now_id) {
    if (old_id == 0) return true;
    return pair(old_id, now_id == 0 ? --unique_ : now_id);
  }

 private:
  bool pair(uint32_t old_id, uint32_t now_id) {
    for (uint32_t i = 0; i < count_; i++) {
      if (pairs_[i][0] == old_id) return pairs_[i][1] == now_id;
      if (pairs_[i][1] == now_id) return false;
    }
    if (count_ == kPairs) return false;
    pairs_[count_][0] = old_id;
    pairs_[count_][1] = now_id;
    count_++;
    return true;
  }

  static constexpr uint32_t kPairs = 600;  // registers and slots of all frames
  uint32_t count_ = 0;
  uint32_t unique_ = 0;
  uint32_t pairs_[kPairs][2];
};

bool same_shape(const Register& old, const Register& now) {
  return old.type == now.type && old.or_null == now.or_null;
}

bool covers_exactly(const Register& old, const Register& now, IdMap* ids) {
  return same_shape(old, now) && old.offset == now.offset && old.added == now.added &&
         old.added_low == now.added_low && old.range == now.range &&
         old.map_index == now.map_index && old.frame == now.frame && old.value == now.value &&
         ids->match(old.id, now.id) && ids->match(old.reference, now.reference);
}

bool covers_register(const Register& old, const Register& now, IdMap* ids, Match match) {
  if (match == Match::exact) return covers_exactly(old, now, ids);
  if (old.type == RegType::uninit) return true;
  if (!same_shape(old, now)) return false;
  switch (old.type) {
    case RegType::scalar:
      if (!old.precise && match == Match::safe) return true;
      if (old.added != now.added || old.added_low != now.added_low) return false;
      if (old.added && old.offset != now.offset) return false;
      return old.value.includes(now.value) && ids->match_number(old.id, now.id);
    case RegType::map_key:
    case RegType::map_value:
    case RegType::memory:
      return old.map_index == now.map_index && old.offset == now.offset && old.range == now.range &&
             old.record == now.record && old.value.includes(now.value) &&
             ids->match(old.id, now.id) && ids->match(old.reference, now.reference);
    case RegType::packet:
    case RegType::packet_meta:
      return old.range <= now.range && old.offset == now.offset && ids->match(old.id, now.id) &&
             old.value.includes(now.value);
    default: return covers_exactly(old, now, ids);
  }
}

// A whole slot that reads as one number; null: it does not.
const Register* as_number(const StackSlot& slot) {
  static const Register unknown = Register::unknown();
  if (slot.bytes[7] == StackByte::spill) return slot.spilled.is_scalar() ? &slot.spilled : nullptr;
  const bool misc = std::ranges::all_of(slot.bytes, [](StackByte byte) {
    return byte == StackByte::misc || byte == StackByte::uninit;
  });
  return misc ? &unknown : nullptr;
}

bool covers_slot(const StackSlot& old, const StackSlot& now, IdMap* ids, Match match) {
  if (match == Match::exact && old.bytes != now.bytes) return false;
  // Reading an unwritten byte gives an unknown number, like reading misc.
  auto open = [](StackByte byte) { return byte == StackByte::misc || byte == StackByte::uninit; };
  if (std::ranges::all_of(old.bytes, open)) return true;
  if (match != Match::exact) {
    const Register* old_number = as_number(old);
    const Register* now_number = as_number(now);
    if (old_number != nullptr && now_number != nullptr)
      return covers_register(*old_number, *now_number, ids, match);
  }
  for (uint32_t i = 0; i < 8; i++) {
    if (old.bytes[i] != now.bytes[i] && !open(old.bytes[i])) return false;
  }
  if (old.bytes[0] != StackByte::spill) return true;
  return covers_register(old.spilled, now.spilled, ids, match);
}

bool covers_frame(const Frame& old, const Frame& now, uint16_t live, IdMap* ids, Match match) {
  if (old.callsite != now.callsite || old.subprogram != now.subprogram || old.kind != now.kind)
    return false;
  if (old.callback_depth > now.callback_depth) return false;
  for (uint32_t i = 0; i < kFrameRegister; i++) {
    if ((live >> i & 1) != 0 && !covers_register(old.regs[i], now.regs[i], ids, match))
      return false;
  }
  const StackSlot none;
  const bool exact = match == Match::exact;
  const size_t slots = exact ? std::max(old.stack.size(), now.stack.size()) : old.stack.size();
  for (size_t i = 0; i < slots; i++) {
    // What no path reads need not match.
    if (match == Match::safe && (old.live_slots >> i & 1) == 0) continue;
    const StackSlot& old_slot = i < old.stack.size() ? old.stack[i] : none;
    const StackSlot& now_slot = i < now.stack.size() ? now.stack[i] : none;
    if (!covers_slot(old_slot, now_slot, ids, match)) return false;
  }
  return true;
}

// Paths that are unfinished, or a loop, may still mark it.
bool is_needed(const Checkpoint& point) { return point.branches != 0 || point.awaits != nullptr; }

bool covers_references(const State& old, const State& now, IdMap* ids) {
  if (old.references.size() != now.references.size()) return false;
  for (size_t i = 0; i < old.references.size(); i++) {
    if (!ids->match(old.references[i].id, now.references[i].id)) return false;
  }
  if (old.lock.held != now.lock.held) return false;
  return !old.lock.held ||
         (old.lock.map_index == now.lock.map_index && ids->match(old.lock.id, now.lock.id));
}

}  // namespace

uint32_t frame_insn(const State& state, size_t frame, uint32_t insn) {
  if (frame + 1 == state.frames.size()) return insn;
  const Frame& callee = state.frames[frame + 1];
  // A callback returns to the call, which decides whether there is another round.
  return callee.kind == FrameKind::callback ? callee.callsite : callee.callsite + 1;
}

bool covers(const State& old, const State& now, uint32_t insn, const Cfg& cfg, Match match) {
  if (old.frames.size() != now.frames.size()) return false;
  IdMap ids;
  if (!covers_references(old, now, &ids)) return false;
  for (size_t i = 0; i < now.frames.size(); i++) {
    const uint16_t live = cfg.live[frame_insn(now, i, insn)];
    if (!covers_frame(old.frames[i], now.frames[i], live, &ids, match)) return false;
  }
  return true;
}

bool maybe_looping(const State& old, const State& now) {
  if (old.frames.size() != now.frames.size()) return false;
  for (uint32_t i = 0; i < kFrameRegister; i++) {
    const Register& before = old.top().regs[i];
    const Register& after = now.top().regs[i];
    if (!same_shape(before, after) || before.offset != after.offset ||
        before.range != after.range || before.map_index != after.map_index ||
        before.id != after.id || before.reference != after.reference) {
      return false;
    }
    if (before.type != RegType::uninit && !(before.value == after.value)) return false;
  }
  return true;
}

void Pruner::drop(Checkpoints* list, size_t index) {
  std::unique_ptr<Checkpoint> point = std::move((*list)[index]);
  list->erase(list->begin() + static_cast<ptrdiff_t>(index));
  if (is_needed(*point)) {
    point->dropped = true;
    put_in_limbo(std::move(point));
  } else {
    held_--;
    bytes_ -= point->bytes;
  }
}

// The present path or a loop came through it: it stays until that has ended.
void Pruner::put_in_limbo(std::unique_ptr<Checkpoint> point) {
  limbo_.push_back(std::move(point));
  if (limbo_.size() < sweep_at_) return;
  std::erase_if(limbo_, [this](const std::unique_ptr<Checkpoint>& each) {
    if (!is_needed(*each)) bytes_ -= each->bytes;
    return !is_needed(*each);
  });
  sweep_at_ = std::max<size_t>(64, limbo_.size() * 2);
}

std::unique_ptr<Checkpoint> Pruner::make(uint32_t insn, State state, Checkpoint* parent,
                                         uint32_t history) {
  auto point = std::make_unique<Checkpoint>();
  point->state = std::move(state);
  point->parent = parent;
  point->history = history;
  point->insn = insn;
  point->branches = 1;
  point->depth = parent == nullptr ? 0 : parent->depth + 1;
  point->bytes = point->state.bytes();
  bytes_ += point->bytes;
  return point;
}

Checkpoint* Pruner::add(uint32_t insn, State state, Checkpoint* parent, uint32_t history) {
  auto& list = lists_[insn];
  list.push_back(make(insn, std::move(state), parent, history));
  total_++;
  peak_ = std::max(peak_, ++held_);
  return list.back().get();
}

Checkpoint* Pruner::add_waypoint(uint32_t insn, State state, Checkpoint* parent, uint32_t history) {
  auto point = make(insn, std::move(state), parent, history);
  Checkpoint* const kept = point.get();
  put_in_limbo(std::move(point));
  return kept;
}

}  // namespace sluice::bpf
