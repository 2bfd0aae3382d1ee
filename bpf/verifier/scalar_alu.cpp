// Arithmetic on abstract numbers. What concerns only the low 32 bits is computed on the low range
// by itself, so that a wrap-around of the 64-bit range does not lose it, and the other way round.
#include <algorithm>
#include <bit>

#include "bpf/verifier/scalar.hpp"

namespace sluice::bpf {
namespace {

template <class U>
Range<U> add(const Range<U>& a, const Range<U>& b) {
  Range<U> out;
  if (!__builtin_add_overflow(a.umax, b.umax, &out.umax)) {
    out.umin = a.umin + b.umin;
  } else {
    U least = 0;
    // Both ends wrap: still one range.
    if (__builtin_add_overflow(a.umin, b.umin, &least)) {
      out.umin = least;
    } else {
      out.umin = 0;
      out.umax = std::numeric_limits<U>::max();
    }
  }
  if (__builtin_add_overflow(a.smin, b.smin, &out.smin) ||
      __builtin_add_overflow(a.smax, b.smax, &out.smax)) {
    out.smin = Range<U>{}.smin;
    out.smax = Range<U>{}.smax;
  }
  return out;
}

template <class U>
Range<U> sub(const Range<U>& a, const Range<U>& b) {
  Range<U> out;
  const bool low_wraps = __builtin_sub_overflow(a.umin, b.umax, &out.umin);
  const bool high_wraps = __builtin_sub_overflow(a.umax, b.umin, &out.umax);
  if (low_wraps != high_wraps) {
    out.umin = 0;
    out.umax = std::numeric_limits<U>::max();
  }
  if (__builtin_sub_overflow(a.smin, b.smax, &out.smin) ||
      __builtin_sub_overflow(a.smax, b.smin, &out.smax)) {
    out.smin = Range<U>{}.smin;
    out.smax = Range<U>{}.smax;
  }
  return out;
}

template <class U>
Range<U> mul(const Range<U>& a, const Range<U>& b) {
  using S = typename Range<U>::S;
  Range<U> out;
  if (__builtin_mul_overflow(a.umax, b.umax, &out.umax)) {
    out.umax = std::numeric_limits<U>::max();
  } else {
    out.umin = a.umin * b.umin;
  }
  S corners[4];
  if (!__builtin_mul_overflow(a.smin, b.smin, &corners[0]) &&
      !__builtin_mul_overflow(a.smin, b.smax, &corners[1]) &&
      !__builtin_mul_overflow(a.smax, b.smin, &corners[2]) &&
      !__builtin_mul_overflow(a.smax, b.smax, &corners[3])) {
    out.smin = *std::min_element(corners, corners + 4);
    out.smax = *std::max_element(corners, corners + 4);
  }
  return out;
}

// Bitwise operations: the bits know nearly all; the ranges add that AND cannot exceed, nor OR fall
// below, its operands.
template <class U>
Range<U> bitwise(uint8_t op, const Range<U>& a, const Range<U>& b) {
  Range<U> out;
  if (op == BPF_AND) out.umax = std::min(a.umax, b.umax);
  if (op == BPF_OR) out.umin = std::max(a.umin, b.umin);
  return out;
}

// Linux follows the unsigned range of what cannot reach the sign bit's other side, and no signed
// range.
template <class U>
Range<U> shift_left(const Range<U>& a, uint32_t by) {
  Range<U> out;
  if (a.umax <= U{1} << (sizeof(U) * 8 - 1 - by)) {
    out.umin = a.umin << by;
    out.umax = a.umax << by;
  }
  return out;
}

template <class U>
Range<U> shift_right(const Range<U>& a, uint32_t by) {
  Range<U> out;
  out.umin = a.umin >> by;
  out.umax = a.umax >> by;
  return out;
}

template <class U>
Range<U> shift_right_signed(const Range<U>& a, uint32_t by) {
  Range<U> out;
  out.smin = a.smin >> by;
  out.smax = a.smax >> by;
  return out;
}

template <class U>
Range<U> shift(uint8_t op, const Range<U>& a, uint32_t by) {
  if (op == BPF_LSH) return shift_left(a, by);
  return op == BPF_RSH ? shift_right(a, by) : shift_right_signed(a, by);
}

Tnum bits_of(uint8_t op, Tnum a, Tnum b) {
  switch (op) {
    case BPF_ADD: return tnum_add(a, b);
    case BPF_SUB: return tnum_sub(a, b);
    case BPF_MUL: return tnum_mul(a, b);
    case BPF_AND: return tnum_and(a, b);
    case BPF_OR: return tnum_or(a, b);
    default: return tnum_xor(a, b);
  }
}

template <class U>
Range<U> range_of(uint8_t op, const Range<U>& a, const Range<U>& b) {
  switch (op) {
    case BPF_ADD: return add(a, b);
    case BPF_SUB: return sub(a, b);
    case BPF_MUL: return mul(a, b);
    default: return bitwise(op, a, b);
  }
}

Scalar scalar_shift(uint8_t op, bool is64, const Scalar& a, uint32_t by) {
  Scalar out;
  if (op == BPF_LSH) out.bits = tnum_shift_left(a.bits, by);
  if (op == BPF_RSH) out.bits = tnum_shift_right(is64 ? a.bits : tnum_low(a.bits), by);
  if (op == BPF_ARSH) out.bits = tnum_shift_right_signed(a.bits, by, is64 ? 64 : 32);
  if (is64) {
    out.wide = shift(op, a.wide, by);
    if (op == BPF_LSH && by < 32) out.low = shift_left(a.low, by);
    if (op == BPF_LSH && by == 32) {
      // Half of a sign extension.
      out.wide.smin = int64_t{a.low.smin} << 32;
      out.wide.smax = int64_t{a.low.smax} << 32;
    }
  } else {
    out.low = shift(op, a.low, by);
    out.bits = tnum_low(out.bits);
    out.wide = {0, 0xffffffffu, 0, 0xffffffff};
  }
  out.sync();
  return out;
}

// Linux follows no division, and shifts only by a known number below the width: these give any
// number of 64 bits. What is followed here and not there would be accepted here alone.
bool followed(uint8_t op, bool is64, const Scalar& b) {
  switch (op) {
    case BPF_DIV:
    case BPF_MOD: return false;
    case BPF_LSH:
    case BPF_RSH:
    case BPF_ARSH:
      if (is64) return b.is_const() && b.value() < 64;
      return b.is_low_const() && static_cast<uint32_t>(b.value()) < 32;
    default: return true;
  }
}

}  // namespace

Scalar scalar_alu(uint8_t op, bool is64, const Scalar& a, const Scalar& b) {
  if (op != BPF_NEG && !followed(op, is64, b)) return Scalar::unknown();
  Scalar out;
  switch (op) {
    case BPF_NEG: return scalar_alu(BPF_SUB, is64, Scalar::constant(0), a);
    case BPF_LSH:
    case BPF_RSH:
    case BPF_ARSH: out = scalar_shift(op, is64, a, static_cast<uint32_t>(b.value())); break;
    default:
      out.bits = bits_of(op, a.bits, b.bits);
      out.wide = range_of(op, a.wide, b.wide);
      out.low = range_of(op, a.low, b.low);
      break;
  }
  // On 32 bits the wide range is not that of the result: the low half alone counts.
  if (!is64) return zero_extend({tnum_low(out.bits), Range64{}, out.low}, 4);
  out.sync();
  return out;
}

Scalar scalar_swap(const Scalar& a, uint32_t width, bool swap) {
  if (!swap) return zero_extend(a, width / 8);
  auto swapped = [width](uint64_t x) { return __builtin_bswap64(x) >> (64 - width); };
  Scalar out;
  out.bits = {swapped(a.bits.value), swapped(a.bits.mask)};
  out.sync();
  return out;
}

}  // namespace sluice::bpf
