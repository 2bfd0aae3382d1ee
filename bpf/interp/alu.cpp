#include "bpf/interp/alu.hpp"

#include <type_traits>

namespace sluice::bpf {
namespace {

// T is uint64_t or uint32_t: the width of the operation. Division by zero gives 0, modulo by zero
// the dividend, and the most negative value over -1 wraps (RFC 9669, 4.1).
template <class T>
T divide(T a, T b, bool is_signed) {
  using S = std::make_signed_t<T>;
  if (b == 0) return 0;
  if (!is_signed) return a / b;
  if (static_cast<S>(b) == -1) return T{0} - a;
  return static_cast<T>(static_cast<S>(a) / static_cast<S>(b));
}

template <class T>
T modulo(T a, T b, bool is_signed) {
  using S = std::make_signed_t<T>;
  if (b == 0) return a;
  if (!is_signed) return a % b;
  if (static_cast<S>(b) == -1) return 0;
  return static_cast<T>(static_cast<S>(a) % static_cast<S>(b));
}

// MOV with a non-zero offset: the low `bits` of the source, sign-extended.
template <class T>
T sign_extend(T value, int bits) {
  switch (bits) {
    case 8: return static_cast<T>(static_cast<int8_t>(value));
    case 16: return static_cast<T>(static_cast<int16_t>(value));
    case 32: return static_cast<T>(static_cast<int32_t>(value));
    default: return value;
  }
}

template <class T>
T compute(const Insn& insn, T a, T b) {
  using S = std::make_signed_t<T>;
  constexpr T kShiftMask = sizeof(T) * 8 - 1;
  switch (alu_op(insn)) {
    case BPF_ADD: return a + b;
    case BPF_SUB: return a - b;
    case BPF_MUL: return a * b;
    case BPF_DIV: return divide(a, b, insn.off == 1);
    case BPF_OR: return a | b;
    case BPF_AND: return a & b;
    case BPF_LSH: return a << (b & kShiftMask);
    case BPF_RSH: return a >> (b & kShiftMask);
    case BPF_NEG: return T{0} - a;
    case BPF_MOD: return modulo(a, b, insn.off == 1);
    case BPF_XOR: return a ^ b;
    case BPF_MOV: return sign_extend(b, insn.off);
    default: return static_cast<T>(static_cast<S>(a) >> (b & kShiftMask));  // ARSH
  }
}

// END: to little or big endian (ALU), or swapped (ALU64); the rest of the register becomes zero.
uint64_t to_endian(const Insn& insn, uint64_t value) {
  const bool swaps = insn_class(insn) == BPF_ALU64 || uses_register(insn);
  switch (insn.imm) {
    case 16:
      return swaps ? __builtin_bswap16(static_cast<uint16_t>(value)) : static_cast<uint16_t>(value);
    case 32:
      return swaps ? __builtin_bswap32(static_cast<uint32_t>(value)) : static_cast<uint32_t>(value);
    default: return swaps ? __builtin_bswap64(value) : value;
  }
}

template <class T>
bool compare(uint8_t op, T a, T b) {
  using S = std::make_signed_t<T>;
  const auto sa = static_cast<S>(a);
  const auto sb = static_cast<S>(b);
  switch (op) {
    case BPF_JEQ: return a == b;
    case BPF_JGT: return a > b;
    case BPF_JGE: return a >= b;
    case BPF_JSET: return (a & b) != 0;
    case BPF_JNE: return a != b;
    case BPF_JSGT: return sa > sb;
    case BPF_JSGE: return sa >= sb;
    case BPF_JLT: return a < b;
    case BPF_JLE: return a <= b;
    case BPF_JSLT: return sa < sb;
    default: return sa <= sb;  // JSLE
  }
}

uint64_t operand(const Insn& insn, const uint64_t* registers) {
  return uses_register(insn) ? registers[insn.src_reg] : static_cast<uint64_t>(int64_t{insn.imm});
}

}  // namespace

void alu64(const Insn& insn, uint64_t* registers) {
  uint64_t& dst = registers[insn.dst_reg];
  if (alu_op(insn) == BPF_END) {
    dst = to_endian(insn, dst);
    return;
  }
  dst = compute<uint64_t>(insn, dst, operand(insn, registers));
}

void alu32(const Insn& insn, uint64_t* registers) {
  uint64_t& dst = registers[insn.dst_reg];
  if (alu_op(insn) == BPF_END) {
    dst = to_endian(insn, dst);
    return;
  }
  dst = compute<uint32_t>(insn, static_cast<uint32_t>(dst),
                          static_cast<uint32_t>(operand(insn, registers)));
}

bool jump_taken(const Insn& insn, const uint64_t* registers) {
  const uint64_t a = registers[insn.dst_reg];
  const uint64_t b = operand(insn, registers);
  if (insn_class(insn) == BPF_JMP32) {
    return compare<uint32_t>(alu_op(insn), static_cast<uint32_t>(a), static_cast<uint32_t>(b));
  }
  return compare<uint64_t>(alu_op(insn), a, b);
}

}  // namespace sluice::bpf
