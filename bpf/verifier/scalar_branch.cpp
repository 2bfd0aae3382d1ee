// Comparisons of abstract numbers: what they decide, and what is learned on either side of them.
#include <algorithm>
#include <bit>

#include "bpf/verifier/scalar.hpp"

namespace sluice::bpf {
namespace {

// The comparison that holds exactly when `op` does not. BPF_JSET has none.
uint8_t inverse(uint8_t op) {
  switch (op) {
    case BPF_JEQ: return BPF_JNE;
    case BPF_JNE: return BPF_JEQ;
    case BPF_JGT: return BPF_JLE;
    case BPF_JLE: return BPF_JGT;
    case BPF_JGE: return BPF_JLT;
    case BPF_JLT: return BPF_JGE;
    case BPF_JSGT: return BPF_JSLE;
    case BPF_JSLE: return BPF_JSGT;
    case BPF_JSGE: return BPF_JSLT;
    default: return BPF_JSGE;
  }
}

template <class T>
int less(T a_min, T a_max, T b_min, T b_max) {
  if (a_max < b_min) return 1;
  return a_min >= b_max ? 0 : -1;
}

int invert(int known) { return known < 0 ? known : 1 - known; }

template <class U>
int compare(uint8_t op, const Range<U>& a, const Range<U>& b, Tnum a_bits, Tnum b_bits) {
  switch (op) {
    case BPF_JEQ:
      if (a.umin == a.umax && a.umin == b.umin && a.umin == b.umax) return 1;
      if (a.umax < b.umin || a.umin > b.umax || a.smax < b.smin || a.smin > b.smax) return 0;
      return ((a_bits.value ^ b_bits.value) & ~a_bits.mask & ~b_bits.mask) != 0 ? 0 : -1;
    case BPF_JSET:
      // Linux decides it by a known number only.
      if (!a_bits.is_const() && !b_bits.is_const()) return -1;
      if ((a_bits.value & b_bits.value) != 0) return 1;
      return ((a_bits.value | a_bits.mask) & (b_bits.value | b_bits.mask)) == 0 ? 0 : -1;
    case BPF_JLT: return less(a.umin, a.umax, b.umin, b.umax);
    case BPF_JGT: return less(b.umin, b.umax, a.umin, a.umax);
    case BPF_JSLT: return less(a.smin, a.smax, b.smin, b.smax);
    case BPF_JSGT: return less(b.smin, b.smax, a.smin, a.smax);
    default: return invert(compare(inverse(op), a, b, a_bits, b_bits));
  }
}

template <class T>
T wrapping_add(T a, std::make_signed_t<T> b) {
  using U = std::make_unsigned_t<T>;
  return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
}

// Narrows both for a < b; they may be the same. Where that leaves nothing, nothing may be learned.
template <class T>
void assume_less(T* a_min, T* a_max, T* b_min, T* b_max) {
  *a_max = std::min(*a_max, wrapping_add(*b_max, -1));
  *b_min = std::max(*b_min, wrapping_add(*a_min, 1));
}
template <class T>
void assume_less_or_equal(T* a_min, T* a_max, T* b_min, T* b_max) {
  *a_max = std::min(*a_max, *b_max);
  *b_min = std::max(*b_min, *a_min);
}

template <class U>
void assume_equal(Range<U>* a, Range<U>* b) {
  a->umin = b->umin = std::max(a->umin, b->umin);
  a->umax = b->umax = std::min(a->umax, b->umax);
  a->smin = b->smin = std::max(a->smin, b->smin);
  a->smax = b->smax = std::min(a->smax, b->smax);
}

template <class U>
void exclude(Range<U>* a, U value) {
  using S = typename Range<U>::S;
  const auto signed_value = static_cast<S>(value);
  if (a->umin == a->umax && a->umin == value) {
    a->umin = 1;
    a->umax = 0;
    return;
  }
  if (a->umin == value) a->umin++;
  if (a->umax == value) a->umax--;
  if (a->smin == signed_value && a->smin != a->smax) a->smin++;
  if (a->smax == signed_value && a->smin != a->smax) a->smax--;
}

template <class U>
void assume_range(uint8_t op, Range<U>* a, Range<U>* b) {
  switch (op) {
    case BPF_JEQ: assume_equal(a, b); break;
    case BPF_JNE:
      if (b->umin == b->umax) {
        exclude(a, b->umin);
      } else if (a->umin == a->umax) {
        exclude(b, a->umin);
      }
      break;
    case BPF_JLT: assume_less(&a->umin, &a->umax, &b->umin, &b->umax); break;
    case BPF_JLE: assume_less_or_equal(&a->umin, &a->umax, &b->umin, &b->umax); break;
    case BPF_JGT: assume_less(&b->umin, &b->umax, &a->umin, &a->umax); break;
    case BPF_JGE: assume_less_or_equal(&b->umin, &b->umax, &a->umin, &a->umax); break;
    case BPF_JSLT: assume_less(&a->smin, &a->smax, &b->smin, &b->smax); break;
    case BPF_JSLE: assume_less_or_equal(&a->smin, &a->smax, &b->smin, &b->smax); break;
    case BPF_JSGT: assume_less(&b->smin, &b->smax, &a->smin, &a->smax); break;
    default: assume_less_or_equal(&b->smin, &b->smax, &a->smin, &a->smax); break;
  }
}

// `a & b` is zero, or not, for a known b (any bits above `within` do not count).
void assume_bit_test(bool set, uint64_t within, Scalar* a, const Scalar& b) {
  if ((b.bits.mask & within) != 0) return;
  const uint64_t tested = b.bits.value & within;
  if (!set) {
    a->bits.value &= ~tested;
    a->bits.mask &= ~tested;
    // Linux starts again from the bits alone.
    a->wide = Range64{};
    a->low = Range32{};
  } else if (std::has_single_bit(tested)) {
    a->bits.value |= tested;
    a->bits.mask &= ~tested;
  }
}

void assume_equal_bits(bool is64, Scalar* a, Scalar* b) {
  if (is64) {
    a->bits = b->bits = tnum_intersect(a->bits, b->bits);
    return;
  }
  const Tnum common = tnum_intersect(tnum_low(a->bits), tnum_low(b->bits));
  a->bits = tnum_with_low(a->bits, common);
  b->bits = tnum_with_low(b->bits, common);
}

}  // namespace

int scalar_compare(uint8_t op, bool is64, const Scalar& a, const Scalar& b) {
  if (is64) {
    const int known = compare(op, a.wide, b.wide, a.bits, b.bits);
    if (known >= 0 || (op != BPF_JEQ && op != BPF_JNE)) return known;
    // Numbers whose low halves differ are not equal.
    const int low = compare(BPF_JEQ, a.low, b.low, Tnum{}, Tnum{});
    return low == 0 ? (op == BPF_JNE ? 1 : 0) : -1;
  }
  return compare(op, a.low, b.low, tnum_low(a.bits), tnum_low(b.bits));
}

void scalar_assume(uint8_t op, bool is64, bool taken, Scalar* a, Scalar* b) {
  if (op == BPF_JSET) {
    const uint64_t within = is64 ? ~0ull : 0xffffffffull;
    assume_bit_test(taken, within, a, *b);
    assume_bit_test(taken, within, b, *a);
  } else {
    const uint8_t holds = taken ? op : inverse(op);
    if (is64) {
      assume_range(holds, &a->wide, &b->wide);
    } else {
      assume_range(holds, &a->low, &b->low);
    }
    if (holds == BPF_JEQ) assume_equal_bits(is64, a, b);
  }
  a->sync();
  b->sync();
}

}  // namespace sluice::bpf
