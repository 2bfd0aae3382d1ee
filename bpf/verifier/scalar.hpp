// The abstract number: known bits together with signed and unsigned ranges, 64 bits wide and of the
// low 32, kept in step. Every operation is sound: the result covers all results of the concrete
// values covered. Plain values; any thread.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <limits>
#include <type_traits>

#include "bpf/verifier/tnum.hpp"

namespace sluice::bpf {

template <class U>
struct Range {
  using S = std::make_signed_t<U>;
  U umin = 0;
  U umax = std::numeric_limits<U>::max();
  S smin = std::numeric_limits<S>::min();
  S smax = std::numeric_limits<S>::max();

  static constexpr Range constant(U value) {
    return {value, value, static_cast<S>(value), static_cast<S>(value)};
  }
  [[nodiscard]] bool includes(const Range& other) const {
    return umin <= other.umin && umax >= other.umax && smin <= other.smin && smax >= other.smax;
  }
  [[nodiscard]] bool empty() const { return umin > umax || smin > smax; }
  bool operator==(const Range&) const = default;
};
using Range64 = Range<uint64_t>;
using Range32 = Range<uint32_t>;

struct Scalar {
  Tnum bits;
  Range64 wide;
  Range32 low;

  static Scalar unknown() { return {}; }
  static Scalar constant(uint64_t value);
  // Unknown, of `bytes` bytes, zero-extended.
  static Scalar of_size(uint32_t bytes);

  [[nodiscard]] bool is_const() const { return bits.is_const(); }
  [[nodiscard]] uint64_t value() const { return bits.value; }
  [[nodiscard]] bool is_low_const() const { return static_cast<uint32_t>(bits.mask) == 0; }
  [[nodiscard]] bool empty() const { return wide.empty() || low.empty(); }
  [[nodiscard]] bool contains(uint64_t x) const;
  // Every value of other is one of this.
  [[nodiscard]] bool includes(const Scalar& other) const;
  bool operator==(const Scalar&) const = default;

  // Lets each of the three descriptions learn from the others.
  void sync();
};

// The low `bytes` bytes, zero- or sign-extended to 64 bits.
Scalar zero_extend(const Scalar& a, uint32_t bytes);
Scalar sign_extend(const Scalar& a, uint32_t bytes);
// The same to 32 bits, and from there zero-extended.
Scalar sign_extend_low(const Scalar& a, uint32_t bytes);

// BPF_ADD ... BPF_ARSH and BPF_NEG (b ignored), on 64 bits or on 32 with the result zero-extended.
Scalar scalar_alu(uint8_t op, bool is64, const Scalar& a, const Scalar& b);
// BPF_END: to_le, to_be or unconditional swap of the low `width` bits.
Scalar scalar_swap(const Scalar& a, uint32_t width, bool swap);

// 1: `a op b` holds for all values covered; 0: for none; -1: not known.
int scalar_compare(uint8_t op, bool is64, const Scalar& a, const Scalar& b);
// Narrows both to the values for which `a op b` is `taken`. Empty afterwards: that branch cannot
// be.
void scalar_assume(uint8_t op, bool is64, bool taken, Scalar* a, Scalar* b);

}  // namespace sluice::bpf
