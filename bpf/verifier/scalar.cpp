#include "bpf/verifier/scalar.hpp"

#include <algorithm>

namespace sluice::bpf {
namespace {

constexpr uint64_t kHigh = ~0xffffffffull;
constexpr int kRounds = 3;  // as many as Linux makes: what is known must not be more

// True: only one value fits both the bits and the range, and it is that. Where none does, Linux
// takes the largest of the bits' values, and so do we: such a side cannot be taken, but the verdict
// on it must be the same.
bool learn_single(Scalar* value) {
  const Range64& wide = value->wide;
  const Tnum bits = value->bits;
  const uint64_t largest = bits.value | bits.mask;
  auto next = [bits, largest](uint64_t x) { return x >= largest ? largest : tnum_next(bits, x); };
  const uint64_t second = next(wide.umin);
  uint64_t only = wide.umin;
  if (bits.contains(wide.umin)) {
    if (second <= wide.umax) return false;
  } else {
    only = second;
    if (second != largest && (second > wide.umax || next(second) <= wide.umax)) return false;
  }
  *value = Scalar::constant(only);
  return true;
}

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
  // The signed range crosses zero: as unsigned it is [0, smax] and [smin, max]. If only one can
  // meet [umin, umax], take it.
  if (range->umax < static_cast<U>(range->smin)) {
    range->smin = static_cast<S>(range->umin);
    range->umax = std::min(range->umax, static_cast<U>(range->smax));
  } else if (static_cast<U>(range->smax) < range->umin) {
    range->smax = static_cast<S>(range->umax);
    range->umin = std::max(range->umin, static_cast<U>(range->smin));
  }
}

// True: the number is known.
bool learn_from_all_bits(Scalar* value) {
  learn_from_bits(&value->wide, value->bits);
  if (learn_single(value)) return true;
  learn_from_bits(&value->low, value->bits);
  return false;
}

template <class T>
void learn_low_from(T min, T max, Range32* low) {
  const auto first = static_cast<uint64_t>(min);
  const auto last = static_cast<uint64_t>(max);
  if ((first & kHigh) != (last & kHigh)) return;
  const auto umin = static_cast<uint32_t>(first);
  const auto umax = static_cast<uint32_t>(last);
  if (std::is_unsigned_v<T> || umin <= umax) {
    low->umin = std::max(low->umin, umin);
    low->umax = std::min(low->umax, umax);
  }
  const auto smin = static_cast<int32_t>(umin);
  const auto smax = static_cast<int32_t>(umax);
  if (smin > smax) return;
  low->smin = std::max(low->smin, smin);
  low->smax = std::min(low->smax, smax);
}

// Numbers from just below a multiple of 2^32 to just above it: their low halves are one signed
// range.
template <class T>
void learn_low_across(T min, T max, Range32* low) {
  const auto first = static_cast<uint64_t>(min);
  const auto last = static_cast<uint64_t>(max);
  if (static_cast<uint32_t>(first >> 32) + 1 != static_cast<uint32_t>(last >> 32)) return;
  if (static_cast<int32_t>(first) >= 0 || static_cast<int32_t>(last) < 0) return;
  low->smin = std::max(low->smin, static_cast<int32_t>(first));
  low->smax = std::min(low->smax, static_cast<int32_t>(last));
}

void learn_wide_from_low(Range64* wide, const Range32& low) {
  wide->umin = std::max(wide->umin, (wide->umin & kHigh) | low.umin);
  wide->umax = std::min(wide->umax, (wide->umax & kHigh) | low.umax);
  const auto smin = static_cast<uint64_t>(wide->smin);
  const auto smax = static_cast<uint64_t>(wide->smax);
  wide->smin = std::max(wide->smin, static_cast<int64_t>((smin & kHigh) | low.umin));
  wide->smax = std::min(wide->smax, static_cast<int64_t>((smax & kHigh) | low.umax));
}

// A number that fits 32 signed bits, and whose low half is not negative, is that half. Linux takes
// over the half's range as it is, even where the number's own was tighter, and so must we: the
// verdicts would differ.
void take_low_half(Scalar* value) {
  const Range32& low = value->low;
  if (low.smin < 0 || value->wide.smin < INT32_MIN || value->wide.smax > INT32_MAX) return;
  const auto min = static_cast<uint64_t>(low.smin);
  const auto max = static_cast<uint64_t>(int64_t{low.smax});
  value->wide = {min, max, static_cast<int64_t>(min), static_cast<int64_t>(max)};
  value->bits = tnum_intersect(value->bits, tnum_range(min, max));
}

}  // namespace

void Scalar::sync() {
  if (learn_from_all_bits(this)) return;
  for (int round = 0; round < kRounds; round++) {
    learn_low_from(wide.umin, wide.umax, &low);
    learn_low_from(wide.smin, wide.smax, &low);
    learn_low_across(wide.umin, wide.umax, &low);
    learn_low_across(wide.smin, wide.smax, &low);
    learn_signs(&low);
    learn_signs(&wide);
    learn_wide_from_low(&wide, low);
    take_low_half(this);
  }
  bits = tnum_intersect(bits, tnum_range(wide.umin, wide.umax));
  bits = tnum_with_low(bits, tnum_intersect(tnum_low(bits), tnum_range(low.umin, low.umax)));
  learn_from_all_bits(this);
}

Scalar Scalar::constant(uint64_t value) {
  return {tnum_const(value), Range64::constant(value),
          Range32::constant(static_cast<uint32_t>(value))};
}

Scalar Scalar::of_size(uint32_t bytes) { return zero_extend(Scalar::unknown(), bytes); }

bool Scalar::contains(uint64_t x) const {
  const auto sx = static_cast<int64_t>(x);
  const auto x32 = static_cast<uint32_t>(x);
  const auto sx32 = static_cast<int32_t>(x32);
  return bits.contains(x) && x >= wide.umin && x <= wide.umax && sx >= wide.smin &&
         sx <= wide.smax && x32 >= low.umin && x32 <= low.umax && sx32 >= low.smin &&
         sx32 <= low.smax;
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
  auto extended = [shift](uint64_t x) { return static_cast<int64_t>(x << shift) >> shift; };
  if (a.is_const()) return Scalar::constant(static_cast<uint64_t>(extended(a.value())));
  Scalar out;
  const uint64_t top = ~0ull << (bytes * 8);
  const int64_t first = extended(static_cast<uint64_t>(a.wide.smin));
  const int64_t last = extended(static_cast<uint64_t>(a.wide.smax));
  const int64_t low = std::min(first, last);
  const int64_t high = std::max(first, last);
  const bool same_top =
      (static_cast<uint64_t>(a.wide.smin) & top) == (static_cast<uint64_t>(a.wide.smax) & top);
  // The known bits are given up, as in Linux: only the range is followed.
  if (same_top && (low < 0) == (high < 0)) {
    out.wide = {static_cast<uint64_t>(low), static_cast<uint64_t>(high), low, high};
    out.low = {static_cast<uint32_t>(low), static_cast<uint32_t>(high), static_cast<int32_t>(low),
               static_cast<int32_t>(high)};
    out.bits = tnum_range(static_cast<uint64_t>(low), static_cast<uint64_t>(high));
    return out;
  }
  const auto limit = static_cast<int64_t>(1ull << (bytes * 8 - 1));
  out.wide.smin = -limit;
  out.wide.smax = limit - 1;
  out.low.smin = static_cast<int32_t>(-limit);
  out.low.smax = static_cast<int32_t>(limit - 1);
  return out;
}

Scalar sign_extend_low(const Scalar& a, uint32_t bytes) {
  const uint32_t shift = 32 - bytes * 8;
  auto extended = [shift](uint32_t x) { return static_cast<int32_t>(x << shift) >> shift; };
  if (a.is_low_const())
    return Scalar::constant(static_cast<uint32_t>(extended(static_cast<uint32_t>(a.value()))));
  Scalar out;
  const uint32_t top = ~0u << (bytes * 8);
  const int32_t first = extended(static_cast<uint32_t>(a.low.smin));
  const int32_t last = extended(static_cast<uint32_t>(a.low.smax));
  const int32_t low = std::min(first, last);
  const int32_t high = std::max(first, last);
  const bool same_top =
      (static_cast<uint32_t>(a.low.smin) & top) == (static_cast<uint32_t>(a.low.smax) & top);
  if (same_top && (low < 0) == (high < 0)) {
    out.low = {static_cast<uint32_t>(low), static_cast<uint32_t>(high), low, high};
    out.bits = tnum_low(tnum_range(static_cast<uint32_t>(low), static_cast<uint32_t>(high)));
  } else {
    const auto limit = static_cast<int32_t>(1u << (bytes * 8 - 1));
    out.low.smin = -limit;
    out.low.smax = limit - 1;
    out.bits = tnum_low(out.bits);
  }
  return zero_extend({out.bits, Range64{}, out.low}, 4);
}

}  // namespace sluice::bpf
