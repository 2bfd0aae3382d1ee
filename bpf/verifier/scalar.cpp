#include "bpf/verifier/scalar.hpp"

#include <algorithm>

namespace sluice::bpf {
namespace {

constexpr uint64_t kHigh = ~0xffffffffull;

template <class U>
void learn_from_bits(Range<U>* range, Tnum bits) {
  using S = typename Range<U>::S;
  constexpr U sign = U{1} << (sizeof(U) * 8 - 1);
  const U value = static_cast<U>(bits.value);
  const U mask = static_cast<U>(bits.mask);
  range->umin = std::max(range->umin, value);
  range->umax = std::min(range->umax, static_cast<U>(value | mask));
  range->smin = std::max(range->smin, static_cast<S>(value | (mask & sign)));
  range->smax = std::min(range->smax, static_cast<S>(value | static_cast<U>(mask & ~sign)));
}

// A range that does not cross the other order's wrap-around point is a range in that order too.
template <class U>
void learn_signs(Range<U>* range) {
  using S = typename Range<U>::S;
  if (static_cast<S>(range->umin) <= static_cast<S>(range->umax)) {
    range->smin = std::max(range->smin, static_cast<S>(range->umin));
    range->smax = std::min(range->smax, static_cast<S>(range->umax));
  }
  if (static_cast<U>(range->smin) <= static_cast<U>(range->smax)) {
    range->umin = std::max(range->umin, static_cast<U>(range->smin));
    range->umax = std::min(range->umax, static_cast<U>(range->smax));
    return;
  }
  // The signed range crosses zero: as unsigned it is [0, smax] and [smin, max]. If only one can meet [umin, umax], take it.
  const bool meets_low = range->umin <= static_cast<U>(range->smax);
  const bool meets_high = range->umax >= static_cast<U>(range->smin);
  if (meets_low && !meets_high) {
    range->umax = std::min(range->umax, static_cast<U>(range->smax));
    range->smin = std::max(range->smin, S{0});
  } else if (meets_high && !meets_low) {
    range->umin = std::max(range->umin, static_cast<U>(range->smin));
    range->smax = std::min(range->smax, S{-1});
  }
}

template <class T>
void learn_low_from(T min, T max, Range32* low) {
  const auto umin = static_cast<uint64_t>(min);
  const auto umax = static_cast<uint64_t>(max);
  if ((umin & kHigh) != (umax & kHigh)) return;
  low->umin = std::max(low->umin, static_cast<uint32_t>(umin));
  low->umax = std::min(low->umax, static_cast<uint32_t>(umax));
}

void learn_wide_from_low(Range64* wide, const Range32& low) {
  wide->umin = std::max(wide->umin, (wide->umin & kHigh) | low.umin);
  wide->umax = std::min(wide->umax, (wide->umax & kHigh) | low.umax);
  const auto smin = static_cast<uint64_t>(wide->smin);
  const auto smax = static_cast<uint64_t>(wide->smax);
  wide->smin = std::max(wide->smin, static_cast<int64_t>((smin & kHigh) | low.umin));
  wide->smax = std::min(wide->smax, static_cast<int64_t>((smax & kHigh) | low.umax));
  // A value that is its own sign-extended low half has the low half's signed range.
  if (wide->smin >= INT32_MIN && wide->smax <= INT32_MAX) {
    wide->smin = std::max<int64_t>(wide->smin, low.smin);
    wide->smax = std::min<int64_t>(wide->smax, low.smax);
  }
}

}  // namespace

void Scalar::sync() {
  for (int round = 0; round < 2; round++) {
    learn_from_bits(&wide, bits);
    learn_from_bits(&low, bits);
    learn_low_from(wide.umin, wide.umax, &low);
    learn_low_from(wide.smin, wide.smax, &low);
    learn_signs(&low);
    learn_signs(&wide);
    learn_wide_from_low(&wide, low);
    learn_signs(&wide);
    if (empty()) return;
    bits = tnum_intersect(bits, tnum_range(wide.umin, wide.umax));
    bits = tnum_with_low(bits, tnum_intersect(tnum_low(bits), tnum_range(low.umin, low.umax)));
  }
  learn_from_bits(&wide, bits);
  learn_from_bits(&low, bits);
}

Scalar Scalar::constant(uint64_t value) {
  return {tnum_const(value), Range64::constant(value), Range32::constant(static_cast<uint32_t>(value))};
}

Scalar Scalar::of_size(uint32_t bytes) { return zero_extend(Scalar::unknown(), bytes); }

bool Scalar::contains(uint64_t x) const {
  const auto sx = static_cast<int64_t>(x);
  const auto x32 = static_cast<uint32_t>(x);
  const auto sx32 = static_cast<int32_t>(x32);
  return bits.contains(x) && x >= wide.umin && x <= wide.umax && sx >= wide.smin && sx <= wide.smax &&
         x32 >= low.umin && x32 <= low.umax && sx32 >= low.smin && sx32 <= low.smax;
}

bool Scalar::includes(const Scalar& other) const {
  return wide.includes(other.wide) && low.includes(other.low) && tnum_includes(bits, other.bits);
}

Scalar zero_extend(const Scalar& a, uint32_t bytes) {
  if (bytes >= 8) return a;
  const uint64_t keep = (1ull << (bytes * 8)) - 1;
  Scalar out;
  out.bits = {a.bits.value & keep, a.bits.mask & keep};
  out.wide = {0, keep, 0, static_cast<int64_t>(keep)};
  if (bytes == 4) {
    out.low = a.low;
  } else if ((a.wide.umin & ~keep) == (a.wide.umax & ~keep)) {
    out.wide.umin = a.wide.umin & keep;
    out.wide.umax = a.wide.umax & keep;
  }
  out.sync();
  return out;
}

Scalar sign_extend(const Scalar& a, uint32_t bytes) {
  if (bytes >= 8) return a;
  const uint32_t shift = 64 - bytes * 8;
  const auto limit = static_cast<int64_t>(1ull << (bytes * 8 - 1));
  Scalar out;
  out.bits = tnum_shift_right_signed(tnum_shift_left(a.bits, shift), shift, 64);
  out.wide.smin = -limit;
  out.wide.smax = limit - 1;
  if (a.wide.smin >= -limit && a.wide.smax < limit) {
    out.wide.smin = a.wide.smin;
    out.wide.smax = a.wide.smax;
  } else if (bytes == 4) {
    out.wide.smin = a.low.smin;
    out.wide.smax = a.low.smax;
    out.low = a.low;
  }
  out.sync();
  return out;
}

}  // namespace sluice::bpf
