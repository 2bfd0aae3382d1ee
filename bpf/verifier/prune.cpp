#include "bpf/verifier/prune.hpp"

#include <algorithm>

namespace sluice::bpf {
namespace {

// Which id of the old state stands for which id of the new one. Both ways one to one.
class IdMap {
 public:
  bool match(uint32_t old_id, uint32_t now_id) {
    if (old_id == 0) return true;
    // A number without copies is like one that only it is a copy of.
    if (now_id == 0) now_id = --unique_;
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

 private:
  static constexpr uint32_t kPairs = 128;
  uint32_t count_ = 0;
  uint32_t unique_ = 0;
  uint32_t pairs_[kPairs][2];
};

bool covers_register(const Register& old, const Register& now, IdMap* ids, bool exact) {
  if (old.type == RegType::uninit && !exact) return true;
  if (old.type != now.type) return false;
  if (exact) {
    return old.offset == now.offset && old.map_index == now.map_index && old.frame == now.frame &&
           old.value == now.value && (old.id == 0) == (now.id == 0) && ids->match(old.id, now.id);
  }
  switch (old.type) {
    case RegType::scalar: return old.value.includes(now.value) && ids->match(old.id, now.id);
    case RegType::stack:
      return old.frame == now.frame && old.offset == now.offset && old.value == now.value;
    case RegType::map_value:
      return old.map_index == now.map_index && old.offset == now.offset && old.value.includes(now.value);
    case RegType::map_value_or_null:
      return old.map_index == now.map_index && old.offset == now.offset && ids->match(old.id, now.id) &&
             old.value.includes(now.value);
    default: return old.map_index == now.map_index && old.offset == now.offset && old.value == now.value;
  }
}

bool covers_slot(const StackSlot& old, const StackSlot& now, IdMap* ids, bool exact) {
  for (uint32_t i = 0; i < 8; i++) {
    if (old.bytes[i] == now.bytes[i]) continue;
    if (exact) return false;
    // Reading an unwritten byte gives an unknown number, like reading misc.
    if (old.bytes[i] == StackByte::misc || old.bytes[i] == StackByte::uninit) continue;
    return false;
  }
  if (old.bytes[0] != StackByte::spill) return true;
  return covers_register(old.spilled, now.spilled, ids, exact);
}

bool covers_frame(const Frame& old, const Frame& now, uint16_t live, IdMap* ids, bool exact) {
  if (old.callsite != now.callsite || old.subprogram != now.subprogram) return false;
  for (uint32_t i = 0; i < kFrameRegister; i++) {
    if ((live >> i & 1) != 0 && !covers_register(old.regs[i], now.regs[i], ids, exact)) return false;
  }
  const StackSlot none;
  const size_t slots = exact ? std::max(old.stack.size(), now.stack.size()) : old.stack.size();
  for (size_t i = 0; i < slots; i++) {
    const StackSlot& old_slot = i < old.stack.size() ? old.stack[i] : none;
    const StackSlot& now_slot = i < now.stack.size() ? now.stack[i] : none;
    if (!covers_slot(old_slot, now_slot, ids, exact)) return false;
  }
  return true;
}

}  // namespace

bool covers(const State& old, const State& now, uint32_t insn, const Cfg& cfg, bool exact) {
  if (old.frames.size() != now.frames.size()) return false;
  IdMap ids;
  for (size_t i = 0; i < now.frames.size(); i++) {
    const bool current = i + 1 == now.frames.size();
    const uint16_t live = current ? cfg.live[insn] : cfg.live[now.frames[i + 1].callsite + 1];
    if (!covers_frame(old.frames[i], now.frames[i], live, &ids, exact)) return false;
  }
  return true;
}

Arrival Pruner::arrive(uint32_t insn, const State& state, const Cfg& cfg) {
  auto& list = lists_[insn];
  for (size_t i = list.size(); i-- > 0;) {
    Checkpoint* point = list[i].get();
    if (point->branches != 0) {
      if (covers(point->state, state, insn, cfg, true)) return Arrival::loops;
    } else if (covers(point->state, state, insn, cfg, false)) {
      point->hits++;
      return Arrival::covered;
    }
    // One that keeps failing to cover anything only costs time.
    if (++point->misses > point->hits * 3 + (point->branches != 0 ? 64 : 12)) drop(&list, i);
  }
  return Arrival::fresh;
}

void Pruner::drop(Checkpoints* list, size_t index) {
  std::unique_ptr<Checkpoint> point = std::move((*list)[index]);
  list->erase(list->begin() + static_cast<ptrdiff_t>(index));
  held_--;
  if (point->branches == 0) return;
  point->state = State{};
  limbo_.push_back(std::move(point));
}

Checkpoint* Pruner::add(uint32_t insn, const State& state, Checkpoint* parent) {
  auto& list = lists_[insn];
  list.push_back(std::make_unique<Checkpoint>(Checkpoint{state, parent, 1}));
  total_++;
  peak_ = std::max(peak_, ++held_);
  most_per_insn_ = std::max<uint64_t>(most_per_insn_, list.size());
  return list.back().get();
}

void Pruner::close(Checkpoint* point) {
  while (point != nullptr && --point->branches == 0) point = point->parent;
}

}  // namespace sluice::bpf
