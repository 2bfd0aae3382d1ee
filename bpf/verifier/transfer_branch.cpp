// Conditional jumps: decided where the values say so, else both sides are walked with what each has
// learned.
#include <cerrno>

#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

constexpr size_t kMaxLinked = 6;  // Linux: LINKED_REGS_MAX

// A packet pointer that an earlier comparison has put at or beyond the packet's end. -1: not such a
// comparison.
int decide_packet(uint8_t op, const Register& left, const Register& right) {
  const bool straight = right.type == RegType::packet_end;
  if (!straight && left.type != RegType::packet_end) return -1;
  const Register& pointer = straight ? left : right;
  if (pointer.type != RegType::packet || pointer.range >= 0) return -1;
  if (!straight) {
    switch (op) {
      case BPF_JGT: op = BPF_JLT; break;
      case BPF_JLT: op = BPF_JGT; break;
      case BPF_JGE: op = BPF_JLE; break;
      case BPF_JLE: op = BPF_JGE; break;
      default: return -1;
    }
  }
  switch (op) {
    case BPF_JGT:
    case BPF_JLE: return pointer.range == kBeyondPacketEnd ? op == BPF_JGT : -1;
    case BPF_JGE:
    case BPF_JLT: return op == BPF_JGE;
    default: return -1;
  }
}

// Linux decides comparisons with null for pointers to objects only, not for the context, the stack
// or the packet.
bool never_null(const Register& reg) {
  if (reg.or_null) return false;
  switch (reg.type) {
    case RegType::map_value:
    case RegType::map_key:
    case RegType::const_map:
    case RegType::memory:
    case RegType::socket:
    case RegType::tcp_sock:
    case RegType::sock_common: return true;
    default: return false;
  }
}

// The ranges and the bits may rule a side out that the comparison by itself did not. Linux walks
// such a side, with what the bits say, and so it is walked here: a verdict must not depend on more
// cleverness than Linux has.
void settle(Scalar* value) {
  const bool apart = value->is_const() && !value->contains(value->value());
  const bool low_apart =
      value->is_low_const() && (value->low.umin != value->low.umax ||
                                value->low.umin != static_cast<uint32_t>(value->value()));
  if (!value->empty() && !apart && !low_apart) return;
  value->wide = Range64{};
  value->low = Range32{};
}

}  // namespace

int Analysis::decide(const Insn& insn, const Register& left, const Register& right) {
  const uint8_t op = alu_op(insn);
  const bool is64 = insn_class(insn) == BPF_JMP;
  if (left.is_scalar() && right.is_scalar())
    return scalar_compare(op, is64, left.value, right.value);
  if (!is64) return -1;
  if (left.is_pointer() && right.is_pointer()) return decide_packet(op, left, right);
  const Register& pointer = left.is_pointer() ? left : right;
  const Register& number = left.is_pointer() ? right : left;
  if (never_null(pointer) && number.is_const(0)) {
    if (op == BPF_JEQ) return 0;
    if (op == BPF_JNE) return 1;
  }
  return -1;
}

// All numbers linked to one learn what it has.
void Analysis::spread_scalar(const Register& known) {
  if (known.id == 0) return;
  const Register from = known;
  state_.for_each_register([&from](Register& each) {
    if (!each.is_scalar() || each.id != from.id) return;
    if (each.added == from.added && each.added_low == from.added_low &&
        each.offset == from.offset) {
      each.value = from.value;
      each.added = from.added;
      each.added_low = from.added_low;
      each.offset = from.offset;
      return;
    }
    // Sums of 32 and of 64 bits say nothing of one another.
    if (each.added && from.added && each.added_low != from.added_low) return;
    const auto apart = static_cast<uint64_t>(int64_t{each.offset} - int64_t{from.offset});
    each.value = scalar_alu(BPF_ADD, true, from.value, Scalar::constant(apart));
    if (each.added_low || from.added_low) each.value = zero_extend(each.value, 4);
  });
}

// Numbers that will learn from this branch; where one matters, the others do.
void Analysis::collect_linked(const Insn& insn) {
  LinkedNumbers linked;
  auto collect = [&](uint32_t regno) {
    const Register& known = reg(regno);
    if (!known.is_scalar() || known.id == 0) return;
    for (size_t f = state_.frames.size(); f-- > 0;) {
      const Frame& frame = state_.frames[f];
      for (uint8_t i = 0; i < kFrameRegister; i++) {
        const Register& each = frame.regs[i];
        if (each.is_scalar() && each.id == known.id)
          linked.places.push_back({static_cast<uint8_t>(f), false, i});
      }
      for (uint8_t i = 0; i < frame.stack.size(); i++) {
        const StackSlot& slot = frame.stack[i];
        if (slot.holds_scalar() && slot.spilled.id == known.id) {
          linked.places.push_back({static_cast<uint8_t>(f), true, i});
        }
      }
    }
  };
  if (uses_register(insn)) collect(insn.src_reg);
  if (!uses_register(insn) || reg(insn.src_reg).id != reg(insn.dst_reg).id) collect(insn.dst_reg);
  // Too many to keep in step: those beyond learn nothing, and so need not be followed.
  for (size_t i = kMaxLinked; i < linked.places.size(); i++) {
    const auto& place = linked.places[i];
    Frame& frame = state_.frames[place.frame];
    (place.in_slot ? frame.stack[place.index].spilled : frame.regs[place.index]).unlink();
  }
  if (linked.places.size() > kMaxLinked) linked.places.resize(kMaxLinked);
  if (linked.places.size() < 2) return;
  history_.nodes[path_node_].linked = static_cast<uint32_t>(history_.linked.size());
  history_.linked.push_back(std::move(linked));
}

// What an or-null pointer is once it is known to be one.
void Analysis::resolve_present(Register* pointer) {
  pointer->or_null = false;
  if (pointer->type != RegType::map_value) return;
  const int16_t inner = inner_map(pointer->map_index);
  if (inner < 0) return;
  *pointer = Register::pointer(RegType::const_map);
  pointer->map_index = inner;
}

void Analysis::resolve_null(uint32_t id, bool null) {
  uint32_t gone = 0;
  state_.for_each_register([this, id, null, &gone](Register& each) {
    if (!each.or_null || each.id != id) return;
    if (!null) {
      resolve_present(&each);
      // A value with a lock keeps its id: it tells which lock is held.
      if (each.type != RegType::map_value || map_spec(each.map_index).spin_lock_offset < 0)
        each.id = 0;
      return;
    }
    if (each.reference == id) gone = id;
    each = Register::constant(0);
  });
  if (gone != 0)
    std::erase_if(state_.references, [gone](const Reference& held) { return held.id == gone; });
}

// True: it was a comparison of an or-null pointer with null.
bool Analysis::assume_null(const Insn& insn, bool taken) {
  const uint8_t op = alu_op(insn);
  if (insn_class(insn) != BPF_JMP || (op != BPF_JEQ && op != BPF_JNE)) return false;
  Register& left = reg(insn.dst_reg);
  if (!left.or_null) {
    // A pointer that equals one that is not null is not null either. Of its copies Linux learns
    // nothing here.
    if (!uses_register(insn) || !reg(insn.src_reg).or_null) return false;
    Register& right = reg(insn.src_reg);
    if (left.is_pointer() && left.type != RegType::btf && (op == BPF_JEQ) == taken)
      resolve_present(&right);
    return left.is_pointer();
  }
  if (uses_register(insn)) {
    const Register& right = reg(insn.src_reg);
    if (!right.is_pointer() || right.or_null) return false;
    if (left.type != RegType::btf && right.type != RegType::btf && (op == BPF_JEQ) == taken) {
      resolve_present(&left);
    }
    return true;
  }
  if (insn.imm != 0) return false;
  resolve_null(left.id, (op == BPF_JEQ) == taken);
  return true;
}

void Analysis::assume(const Insn& insn, bool taken) {
  if (assume_null(insn, taken) || assume_packet(insn, taken)) return;
  Register& left = reg(insn.dst_reg);
  Register constant = operand(insn);
  Register& right = uses_register(insn) ? reg(insn.src_reg) : constant;
  if (!left.is_scalar() || !right.is_scalar()) return;
  scalar_assume(alu_op(insn), insn_class(insn) == BPF_JMP, taken, &left.value, &right.value);
  settle(&left.value);
  settle(&right.value);
  if (uses_register(insn)) spread_scalar(right);
  spread_scalar(left);
}

void Analysis::mark_compared(const Insn& insn) {
  mark_precise(insn.dst_reg);
  if (uses_register(insn)) mark_precise(insn.src_reg);
}

// Only one side can be: the numbers that say so matter. Nothing is learned, since it holds for all
// values.
Step Analysis::follow_decided(const Insn& insn, bool taken) {
  mark_compared(insn);
  if (logging()) log_changes();
  insn_ = taken ? static_cast<uint32_t>(jump_target(insn, insn_)) : insn_ + 1;
  return Step::next;
}

Step Analysis::transfer_branch(const Insn& insn) {
  if (uses_register(insn) && !check_read(insn.src_reg)) return Step::failed;
  if (!check_read(insn.dst_reg)) return Step::failed;
  const auto target = static_cast<uint32_t>(jump_target(insn, insn_));
  const int known = decide(insn, reg(insn.dst_reg), operand(insn));
  if (known >= 0) return follow_decided(insn, known == 1);
  collect_linked(insn);
  const int32_t before = path_;
  auto remember = [this, before](uint32_t insn_index, bool taken, const Register& left) {
    path_nodes_.push_back({insn_index, before, taken, left});
    path_ = static_cast<int32_t>(path_nodes_.size()) - 1;
  };
  State original = state_;
  assume(insn, true);
  remember(insn_, true, reg(insn.dst_reg));
  State taken = std::move(state_);
  state_ = std::move(original);
  assume(insn, false);
  if (!push(target, std::move(taken))) return Step::failed;
  remember(insn_, false, reg(insn.dst_reg));
  if (logging()) log_changes();
  insn_++;
  return Step::next;
}

}  // namespace sluice::bpf
