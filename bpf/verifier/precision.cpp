// Which numbers matter. A path may be pruned although its numbers differ from those of an earlier
// path, as long as nothing was decided by them: an address, a size, a branch that could go one way
// only. When such a decision is made, the numbers it rests on are followed back along the executed
// instructions, and marked in every checkpoint passed. Likewise for stack slots: one that nothing
// reads need not match.
#include "bpf/helpers/helper.hpp"
#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

constexpr uint16_t bit(uint32_t reg) { return static_cast<uint16_t>(1u << reg); }
constexpr uint16_t kArguments = 0b111110;

}  // namespace

// The registers and slots whose origin is sought, frame by frame, at one point on the way back.
struct Analysis::Backtrack {
  uint32_t frame = 0;  // that the instruction looked at runs in
  std::array<uint16_t, kMaxFrames + 1> regs{};
  std::array<uint64_t, kMaxFrames + 1> slots{};

  [[nodiscard]] bool empty() const {
    for (uint32_t i = 0; i <= kMaxFrames; i++) {
      if (regs[i] != 0 || slots[i] != 0) return false;
    }
    return true;
  }
  uint16_t& now() { return regs[frame]; }
  [[nodiscard]] bool seeks(uint32_t reg) const { return (regs[frame] & bit(reg)) != 0; }
  void seek(uint32_t reg) {
    if (reg != kFrameRegister) regs[frame] |= bit(reg);
  }
  void found(uint32_t reg) { regs[frame] &= static_cast<uint16_t>(~bit(reg)); }

  // If one of a set of linked numbers matters, all do.
  void spread(const LinkedNumbers& linked) {
    bool any = false;
    for (const auto& place : linked.places) {
      any |= place.in_slot ? (slots[place.frame] >> place.index & 1) != 0
                           : (regs[place.frame] & bit(place.index)) != 0;
    }
    if (!any) return;
    for (const auto& place : linked.places) {
      if (place.in_slot) {
        slots[place.frame] |= 1ull << place.index;
      } else {
        regs[place.frame] |= bit(place.index);
      }
    }
  }

  void through_alu(const Insn& insn) {
    if (!seeks(insn.dst_reg)) return;
    const uint8_t op = alu_op(insn);
    if (op == BPF_END || op == BPF_NEG) return;
    if (op == BPF_MOV) found(insn.dst_reg);
    if (uses_register(insn)) seek(insn.src_reg);
  }

  void through_fill(const HistoryNode& node, uint32_t reg) {
    if (!seeks(reg)) return;
    found(reg);
    if (node.stack) slots[node.frame] |= 1ull << node.slot;
  }

  // False: the address itself is sought, which only a subtraction of pointers can lead to.
  bool through_store(const Insn& insn, const HistoryNode& node) {
    if (seeks(insn.dst_reg)) return false;
    if (!node.stack || (slots[node.frame] >> node.slot & 1) == 0) return true;
    slots[node.frame] &= ~(1ull << node.slot);
    if (insn_class(insn) == BPF_STX) seek(insn.src_reg);
    return true;
  }

  void through_atomic(const Insn& insn, const HistoryNode& node) {
    if (node.stack) slots[node.frame] &= ~(1ull << node.slot);
    // What was fetched is what the slot held.
    if ((insn.imm & BPF_FETCH) == 0) return;
    through_fill(node, insn.imm == BPF_CMPXCHG ? static_cast<uint32_t>(BPF_REG_0) : insn.src_reg);
  }

  void through_condition(const Insn& insn) {
    if (!uses_register(insn) || (!seeks(insn.dst_reg) && !seeks(insn.src_reg))) return;
    seek(insn.dst_reg);
    seek(insn.src_reg);
  }

  // Back out of a subprogram to the call of it. What it was given came from the caller's registers.
  void out_of_subprogram(bool callback) {
    const auto given = static_cast<uint16_t>(regs[frame] & kArguments);
    regs[frame] = 0;
    slots[frame] = 0;
    if (frame == 0) return;
    frame--;
    if (!callback) regs[frame] |= given;
  }

  // Back over an exit into the subprogram it ended. R0 was its result, if the caller goes on behind
  // a call.
  void into_subprogram(bool returns_value) {
    const bool result = returns_value && seeks(BPF_REG_0);
    found(BPF_REG_0);
    frame++;
    regs[frame] = result ? bit(BPF_REG_0) : 0;
    slots[frame] = 0;
  }
};

// One instruction back; `next` was executed after it. False: where a number came from cannot be
// told.
bool Analysis::step_back(const HistoryNode& node, uint32_t next, Backtrack* back) {
  const Insn& insn = program_->insns[node.insn];
  if (node.linked != 0) back->spread(history_.linked[node.linked]);
  switch (insn_class(insn)) {
    case BPF_ALU:
    case BPF_ALU64: back->through_alu(insn); break;
    case BPF_LDX: back->through_fill(node, insn.dst_reg); break;
    case BPF_ST:
    case BPF_STX:
      if (is_load_acquire(insn)) {
        back->through_fill(node, insn.dst_reg);
      } else if (is_atomic(insn) && !is_store_release(insn)) {
        back->through_atomic(insn, node);
      } else if (!back->through_store(insn, node)) {
        return false;
      }
      break;
    case BPF_LD:
      if (is_load_imm64(insn)) {
        back->found(insn.dst_reg);
      } else {
        back->found(BPF_REG_0);
      }
      break;
    default:
      if (is_exit(insn)) {
        if (back->frame + 1 > kMaxFrames) return false;
        back->into_subprogram(next > 0 && is_local_call(program_->insns[next - 1]));
      } else if (is_call(insn)) {
        const bool enters = next != node.insn + 1;
        if (enters) {
          back->out_of_subprogram(is_helper_call(insn));
        } else {
          back->now() &= static_cast<uint16_t>(~(kArguments | 1));
        }
      } else if (is_conditional_jump(insn)) {
        back->through_condition(insn);
      }
      break;
  }
  if (node.linked != 0) back->spread(history_.linked[node.linked]);
  return true;
}

void Analysis::mark_all_precise(Checkpoint* last) {
  for (Checkpoint* point = last; point != nullptr; point = point->parent) {
    for (Frame& frame : point->state.frames) {
      for (Register& reg : frame.regs) reg.precise |= reg.is_scalar();
      for (StackSlot& slot : frame.stack) slot.spilled.precise |= slot.holds_scalar();
    }
  }
}

// Marks what is sought in a checkpoint; what is no number there, or was marked before, is sought no
// further.
void Analysis::mark_checkpoint(Checkpoint* point, Backtrack* back) {
  for (uint32_t f = 0; f <= kMaxFrames; f++) {
    if (back->regs[f] == 0 && back->slots[f] == 0) continue;
    if (f >= point->state.frames.size()) {
      back->regs[f] = 0;
      back->slots[f] = 0;
      continue;
    }
    Frame& frame = point->state.frames[f];
    for (uint32_t i = 0; i < kFrameRegister; i++) {
      if ((back->regs[f] & bit(i)) == 0) continue;
      Register& reg = frame.regs[i];
      if (!reg.is_scalar() || reg.precise) {
        back->regs[f] &= static_cast<uint16_t>(~bit(i));
        continue;
      }
      reg.precise = true;
      marks_made_++;
    }
    for (uint32_t i = 0; i < 64; i++) {
      if ((back->slots[f] >> i & 1) == 0) continue;
      const bool number = i < frame.stack.size() && frame.stack[i].holds_scalar();
      if (!number || frame.stack[i].spilled.precise) {
        back->slots[f] &= ~(1ull << i);
        continue;
      }
      frame.stack[i].spilled.precise = true;
      marks_made_++;
    }
  }
}

// Back from a place, through the checkpoints before it.
void Analysis::follow_back(Backtrack* back, const Position& from) {
  if (back->empty()) return;
  uint32_t at = from.node;
  uint32_t next = from.insn;
  for (Checkpoint* point = from.parent;; point = point->parent) {
    const uint32_t end = point == nullptr ? kNoNode : point->history;
    while (at != end) {
      const HistoryNode& node = history_.nodes[at];
      if (!step_back(node, next, back)) return mark_all_precise(from.parent);
      if (back->empty()) return;
      next = node.insn;
      at = node.before;
    }
    if (point == nullptr) return;
    mark_checkpoint(point, back);
    if (back->empty()) return;
  }
}

// From before the present instruction, which has not acted yet.
void Analysis::follow_back_from_here(Backtrack* back) {
  back->frame = static_cast<uint32_t>(state_.frames.size() - 1);
  const HistoryNode& present = history_.nodes[path_node_];
  follow_back(back, {parent_, present.before, present.insn});
}

void Analysis::mark_precise(uint32_t reg) {
  if (parent_ == nullptr || !this->reg(reg).is_scalar()) return;
  Backtrack back;
  if (reg != kFrameRegister) back.regs[state_.frames.size() - 1] = bit(reg);
  follow_back_from_here(&back);
}

void Analysis::mark_precise_slot(uint32_t frame, uint32_t slot) {
  if (parent_ == nullptr) return;
  Backtrack back;
  back.slots[frame] |= 1ull << slot;
  follow_back_from_here(&back);
}

// The path that ended at `from` goes on as `old` did: what matters there matters here.
void Analysis::inherit(const Checkpoint* old, const Position& from, const WrittenSlots& written) {
  Backtrack back;
  back.frame = static_cast<uint32_t>(old->state.frames.size() - 1);
  for (size_t f = 0; f < old->state.frames.size(); f++) {
    const Frame& frame = old->state.frames[f];
    const uint16_t live = cfg_.live[frame_insn(old->state, f, from.insn)];
    for (uint32_t i = 0; i < kFrameRegister; i++) {
      if ((live >> i & 1) != 0 && frame.regs[i].is_scalar() && frame.regs[i].precise)
        back.regs[f] |= bit(i);
    }
    for (uint32_t i = 0; i < frame.stack.size(); i++) {
      if (frame.stack[i].holds_scalar() && frame.stack[i].spilled.precise)
        back.slots[f] |= 1ull << i;
    }
    mark_slots_live(static_cast<uint32_t>(f), frame.live_slots & ~written[f], from.parent);
  }
  follow_back(&back, from);
}

// Slots of a frame are read now: they are live in every checkpoint back to where they were written.
void Analysis::mark_slots_read(uint32_t frame, uint64_t slots) {
  mark_slots_live(frame, slots & ~state_.frames[frame].written, parent_);
}

void Analysis::mark_slots_live(uint32_t frame, uint64_t slots, Checkpoint* last) {
  for (Checkpoint* point = last; point != nullptr && slots != 0; point = point->parent) {
    if (frame >= point->state.frames.size()) return;
    Frame& there = point->state.frames[frame];
    slots &= ~there.live_slots;
    if (slots != 0) marks_made_++;
    there.live_slots |= slots;
    slots &= ~there.written;
  }
}

}  // namespace sluice::bpf
