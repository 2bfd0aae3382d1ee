// Arithmetic: on numbers by the scalar domain, on pointers by the rules of Linux
// (Documentation/bpf/verifier.rst).
#include <cerrno>

#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

const char* operator_name(uint8_t op) {
  switch (op) {
    case BPF_AND: return "&=";
    case BPF_OR: return "|=";
    case BPF_XOR: return "^=";
    case BPF_MUL: return "*=";
    case BPF_DIV: return "/=";
    case BPF_MOD: return "%=";
    case BPF_LSH: return "<<=";
    case BPF_RSH: return ">>=";
    default: return "s>>=";
  }
}

}  // namespace

bool Analysis::check_read(uint32_t index) {
  if (reg(index).type != RegType::uninit) return true;
  return fail(EACCES, "R%u !read_ok", index);
}

bool Analysis::check_write(uint32_t index) {
  if (index != kFrameRegister) return true;
  return fail(EACCES, "frame pointer is read only");
}

Register Analysis::operand(const Insn& insn) {
  if (uses_register(insn)) return reg(insn.src_reg);
  return Register::constant(static_cast<uint64_t>(static_cast<int64_t>(insn.imm)));
}

// Copies of one number share an id, so that what is learned of one is known of all. Constants need
// none.
void Analysis::give_id(Register* number) {
  if (!number->is_scalar() || number->value.is_const()) return;
  if (number->added) number->unlink();
  if (number->id == 0) number->id = fresh_id();
}

void Analysis::move_number(const Insn& insn) {
  const bool is64 = insn_class(insn) == BPF_ALU64;
  Register& source = reg(insn.src_reg);
  const uint32_t from = insn.off != 0 ? static_cast<uint32_t>(insn.off) / 8 : (is64 ? 8 : 4);
  // The copy is the same number if what is cut off is known to be zero (and the sign bit, where
  // that is extended).
  bool same = from == 8;
  if (insn.off != 0) {
    same = source.value.wide.umax < 1ull << (insn.off - 1);
  } else if (!is64) {
    same = source.value.wide.umax <= UINT32_MAX;
  }
  if (same) give_id(&source);
  Register out = source;
  if (insn.off != 0)
    out.value = is64 ? sign_extend(out.value, from) : sign_extend_low(out.value, from);
  if (insn.off == 0 && !is64) out.value = zero_extend(out.value, 4);
  if (!same) out.unlink();
  reg(insn.dst_reg) = out;
}

bool Analysis::move(const Insn& insn) {
  const bool is64 = insn_class(insn) == BPF_ALU64;
  if (!uses_register(insn)) {
    const auto imm = static_cast<int64_t>(insn.imm);
    reg(insn.dst_reg) =
        Register::constant(is64 ? static_cast<uint64_t>(imm) : static_cast<uint32_t>(imm));
    return true;
  }
  const Register& source = reg(insn.src_reg);
  if (source.is_scalar()) {
    move_number(insn);
  } else if (is64 && insn.off == 0) {
    const Register copy = source;
    reg(insn.dst_reg) = copy;
  } else {
    // A part of a pointer is a number like any other (root may see it).
    note_other_use(source);
    reg(insn.dst_reg) = Register::scalar(is64 ? Scalar::unknown() : Scalar::of_size(4));
  }
  return true;
}

// A number that is 0 or -1, half of what compilers make of a choice between two values: Linux walks
// on with either.
bool Analysis::split_mask(const Insn& insn) {
  Scalar& value = reg(insn.dst_reg).value;
  const bool wide = value.wide.smin == -1 && value.wide.smax == 0;
  if (!wide && (value.low.smin != -1 || value.low.smax != 0)) return true;
  auto set = [wide](Scalar* number, uint64_t to) {
    if (wide) {
      *number = Scalar::constant(to);
    } else {
      number->bits = tnum_with_low(number->bits, tnum_const(static_cast<uint32_t>(to)));
      number->low = Range32::constant(static_cast<uint32_t>(to));
    }
  };
  State zero = state_;
  set(&zero.top().regs[insn.dst_reg].value, 0);
  set(&value, ~0ull);
  return push(insn_, std::move(zero));
}

bool Analysis::scalar_op(const Insn& insn, const Register& right) {
  const uint8_t op = alu_op(insn);
  const bool is64 = insn_class(insn) == BPF_ALU64;
  if ((op == BPF_AND || op == BPF_OR) && right.value.is_const() && !split_mask(insn)) return false;
  const Register& left = reg(insn.dst_reg);
  Register out = Register::scalar(scalar_alu(op, is64, left.value, right.value));
  // A copy plus a constant stays linked to the number that it was copied from, once.
  const bool known = is64 ? right.value.is_const() : right.value.is_low_const();
  if ((op == BPF_ADD || op == BPF_SUB) && left.id != 0 && !left.added && known) {
    const auto wide = static_cast<int64_t>(right.value.value());
    const int64_t apart = is64 ? wide : static_cast<int32_t>(wide);
    const bool fits =
        apart <= INT32_MAX && (op == BPF_ADD ? apart >= INT32_MIN : apart > INT32_MIN);
    if (fits && (is64 || left.value.wide.umax <= UINT32_MAX)) {
      out.id = left.id;
      out.added = true;
      out.added_low = !is64;
      out.offset = static_cast<int32_t>(op == BPF_ADD ? apart : -apart);
    }
  }
  reg(insn.dst_reg) = out;
  return true;
}

bool Analysis::transfer_alu(const Insn& insn) {
  const uint8_t op = alu_op(insn);
  const bool is64 = insn_class(insn) == BPF_ALU64;
  const bool from_register = uses_register(insn) && op != BPF_END && op != BPF_NEG;
  if (from_register && !check_read(insn.src_reg)) return false;
  if (op != BPF_MOV && !check_read(insn.dst_reg)) return false;
  if (!check_write(insn.dst_reg)) return false;
  if (op == BPF_MOV) return move(insn);

  const Register left = reg(insn.dst_reg);
  if (op == BPF_END || op == BPF_NEG) {
    const bool unchanged =
        op == BPF_END && insn.code == (BPF_ALU | BPF_END | BPF_TO_LE) && insn.imm == 64;
    if (unchanged && left.is_scalar()) return true;
    note_other_use(left);
    // What is made of a pointer is any number: Linux keeps to that also where the width says more.
    Scalar out = Scalar::unknown();
    if (left.is_scalar() && op == BPF_NEG) out = scalar_alu(op, is64, left.value, left.value);
    // Little-endian host: to_be and the unconditional swap reverse, to_le only truncates.
    if (left.is_scalar() && op == BPF_END) {
      out = scalar_swap(left.value, static_cast<uint32_t>(insn.imm), is64 || uses_register(insn));
    }
    reg(insn.dst_reg) = Register::scalar(out);
    return true;
  }

  const Register right = operand(insn);
  if (left.is_scalar() && right.is_scalar()) return scalar_op(insn, right);
  if (left.is_pointer() && right.is_pointer()) {
    if (op != BPF_SUB) return fail(EACCES, "R%u pointer %s pointer prohibited", insn.dst_reg,
                                   op == BPF_ADD ? "+=" : operator_name(op));
    note_other_use(left);
    note_other_use(right);
    reg(insn.dst_reg) = Register::unknown();
    return true;
  }
  // The address rests on the number.
  if (left.is_pointer()) {
    if (uses_register(insn)) mark_precise(insn.src_reg);
    return pointer_alu(insn, insn.dst_reg, left, right.value, false);
  }
  mark_precise(insn.dst_reg);
  return pointer_alu(insn, insn.src_reg, right, left.value, true);
}

bool Analysis::check_pointer_operand(uint8_t op, uint32_t regno, const Register& pointer,
                                     const Scalar& scalar) {
  const std::string name = type_name(pointer);
  if (pointer.or_null) {
    return fail(EACCES, "R%u pointer arithmetic on %s prohibited, null-check it first", regno,
                name.c_str());
  }
  bool movable = true;
  switch (pointer.type) {
    case RegType::const_map:
      movable = op == BPF_ADD && scalar.is_const() && scalar.value() == 0;
      break;
    case RegType::packet_end:
    case RegType::socket:
    case RegType::sock_common:
    case RegType::tcp_sock: movable = false; break;
    default: break;
  }
  if (!movable) return fail(EACCES, "R%u pointer arithmetic on %s prohibited", regno, name.c_str());
  if (!check_sane_offset(pointer, scalar)) return false;
  if (op == BPF_AND || op == BPF_OR || op == BPF_XOR) {
    return fail(EACCES, "R%u bitwise operator %s on pointer prohibited", regno, operator_name(op));
  }
  if (op != BPF_ADD && op != BPF_SUB) {
    return fail(EACCES, "R%u pointer arithmetic with %s operator prohibited", regno,
                operator_name(op));
  }
  return true;
}

// Offsets stay so small that their sums cannot overflow.
bool Analysis::check_sane_offset(const Register& pointer, const Scalar& scalar) {
  const std::string text = type_name(pointer);
  const char* name = text.c_str();
  if (scalar.is_const()) {
    const auto value = static_cast<int64_t>(scalar.value());
    if (value >= kMaxVariableOffset || value <= -kMaxVariableOffset) {
      return fail(EINVAL, "math between %s pointer and %lld is not allowed", name,
                  static_cast<long long>(value));
    }
  }
  if (pointer.offset >= kMaxVariableOffset || pointer.offset <= -kMaxVariableOffset) {
    return fail(EINVAL, "%s pointer offset %d is not allowed", name, pointer.offset);
  }
  if (scalar.wide.smin == INT64_MIN) {
    return fail(EINVAL,
                "math between %s pointer and register with unbounded min value is not allowed",
                name);
  }
  if (scalar.wide.smin >= kMaxVariableOffset || scalar.wide.smin <= -kMaxVariableOffset) {
    return fail(EINVAL, "value %lld makes %s pointer be out of bounds",
                static_cast<long long>(scalar.wide.smin), name);
  }
  return true;
}

// reversed: the number was on the left, the pointer is added to it.
bool Analysis::pointer_alu(const Insn& insn, uint32_t pointer_reg, const Register& pointer,
                           const Scalar& scalar, bool reversed) {
  const uint8_t op = alu_op(insn);
  if (insn_class(insn) != BPF_ALU64) {
    if (op == BPF_SUB) {
      note_other_use(pointer);
      reg(insn.dst_reg) = Register::unknown();
      return true;
    }
    return fail(EACCES, "R%u 32-bit pointer arithmetic prohibited", insn.dst_reg);
  }
  if (!check_pointer_operand(op, pointer_reg, pointer, scalar)) return false;
  if (op == BPF_SUB && reversed)
    return fail(EACCES, "R%u tried to subtract pointer from scalar", insn.dst_reg);
  if (op == BPF_SUB && pointer.type == RegType::stack) {
    return fail(EACCES, "R%u subtraction from stack pointer prohibited", insn.dst_reg);
  }
  if (scalar.is_const() && !(scalar.wide == Range64::constant(scalar.value()))) {
    // Only a side that cannot be taken gives such a number (`settle`). Linux goes on with any
    // number, and so must we.
    reg(insn.dst_reg) = Register::unknown();
    return true;
  }
  Register out = pointer;
  const auto value = static_cast<int64_t>(scalar.value());
  const int64_t moved = op == BPF_ADD ? pointer.offset + value : pointer.offset - value;
  if (scalar.is_const() && moved >= INT32_MIN && moved <= INT32_MAX) {
    out.offset = static_cast<int32_t>(moved);
  } else {
    out.value = scalar_alu(op, true, pointer.value, scalar);
    if (pointer.is_packet()) {
      // Another base: what was compared with the packet's end says nothing of it.
      out.id = fresh_id();
      if (op == BPF_ADD || scalar.wide.smin < 0) out.range = 0;
    }
  }
  if (!check_sane_offset(out, out.value)) return false;
  reg(insn.dst_reg) = out;
  return true;
}

}  // namespace sluice::bpf
