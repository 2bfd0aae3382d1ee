// Conditional jumps: decided where the values say so, else both sides are walked with what each has learned.
#include <cerrno>

#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {

int Analysis::decide(const Insn& insn, const Register& left, const Register& right) {
  const uint8_t op = alu_op(insn);
  const bool is64 = insn_class(insn) == BPF_JMP;
  if (left.is_scalar() && right.is_scalar()) return scalar_compare(op, is64, left.value, right.value);
  // Linux decides this for pointers to objects only, not for the context or the stack.
  const bool present = left.type == RegType::map_value || left.type == RegType::const_map;
  if (is64 && present && right.is_const(0)) {
    if (op == BPF_JEQ) return 0;
    if (op == BPF_JNE) return 1;
  }
  return -1;
}

// All copies of a number learn what one has.
void Analysis::spread_scalar(const Register& known) {
  if (known.id == 0) return;
  const Register copy = known;
  for_each_register([&copy](Register& each) {
    if (each.is_scalar() && each.id == copy.id) each.value = copy.value;
  });
}

void Analysis::resolve_null(uint32_t id, bool null) {
  for_each_register([id, null](Register& each) {
    if (each.type != RegType::map_value_or_null || each.id != id) return;
    if (null) {
      each = Register::constant(0);
    } else {
      each.type = RegType::map_value;
      each.id = 0;
    }
  });
}

bool Analysis::assume(const Insn& insn, bool taken) {
  const uint8_t op = alu_op(insn);
  const bool is64 = insn_class(insn) == BPF_JMP;
  Register& left = reg(insn.dst_reg);
  if (left.type == RegType::map_value_or_null && is64 && !uses_register(insn) && insn.imm == 0 &&
      (op == BPF_JEQ || op == BPF_JNE)) {
    resolve_null(left.id, (op == BPF_JEQ) == taken);
    return true;
  }
  Register right = operand(insn);
  if (!left.is_scalar() || !right.is_scalar()) return true;
  if (uses_register(insn) && insn.src_reg == insn.dst_reg) return true;
  scalar_assume(op, is64, taken, &left.value, &right.value);
  if (left.value.empty() || right.value.empty()) return false;
  if (uses_register(insn)) {
    reg(insn.src_reg).value = right.value;
    spread_scalar(reg(insn.src_reg));
  }
  spread_scalar(left);
  return true;
}

Step Analysis::transfer_branch(const Insn& insn) {
  if (uses_register(insn) && !check_read(insn.src_reg)) return Step::failed;
  if (!check_read(insn.dst_reg)) return Step::failed;
  const auto target = static_cast<uint32_t>(jump_target(insn, insn_));
  const int known = decide(insn, reg(insn.dst_reg), operand(insn));
  const int32_t before = path_;
  auto remember = [this, before](uint32_t insn_index, bool taken, const Register& left) {
    path_nodes_.push_back({insn_index, before, taken, left.type, left.value.wide.umin, left.value.wide.umax});
    path_ = static_cast<int32_t>(path_nodes_.size()) - 1;
  };
  if (known >= 0) {
    // Nothing to learn: it holds for all values.
    if (input_.log_level != 0) log_state();
    insn_ = known == 1 ? target : insn_ + 1;
    return Step::next;
  }
  // Even a side that the narrowing shows to be impossible was reached by nothing: only the other one goes on.
  State original = state_;
  const bool can_take = assume(insn, true);
  if (can_take) {
    remember(insn_, true, reg(insn.dst_reg));
    State taken = std::move(state_);
    state_ = std::move(original);
    const bool can_fall = assume(insn, false);
    if (!can_fall) {
      state_ = std::move(taken);
      if (input_.log_level != 0) log_state();
      insn_ = target;
      return Step::next;
    }
    if (!push(target, std::move(taken))) return Step::failed;
  } else {
    state_ = std::move(original);
    // Both sides impossible: this whole path is.
    if (!assume(insn, false)) return Step::path_end;
  }
  remember(insn_, false, reg(insn.dst_reg));
  if (input_.log_level != 0) log_state();
  insn_++;
  return Step::next;
}

}  // namespace sluice::bpf
