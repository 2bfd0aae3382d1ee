#include "bpf/verifier/tnum.hpp"

#include <bit>

namespace sluice::bpf {

// All values share the bits above the highest one in which min and max differ.
Tnum tnum_range(uint64_t min, uint64_t max) {
  const int different = std::bit_width(min ^ max);
  if (different == 64) return tnum_unknown();
  const uint64_t low = (1ull << different) - 1;
  return {min & ~low, low};
}

// The sums with all unknown bits 0 and with all 1 differ exactly where a carry may differ.
Tnum tnum_add(Tnum a, Tnum b) {
  const uint64_t least = a.value + b.value;
  const uint64_t most = least + a.mask + b.mask;
  const uint64_t mask = (most ^ least) | a.mask | b.mask;
  return {least & ~mask, mask};
}

Tnum tnum_sub(Tnum a, Tnum b) {
  const uint64_t difference = a.value - b.value;
  const uint64_t mask = ((difference + a.mask) ^ (difference - b.mask)) | a.mask | b.mask;
  return {difference & ~mask, mask};
}

Tnum tnum_and(Tnum a, Tnum b) {
  const uint64_t ones = a.value & b.value;
  const uint64_t maybe = (a.value | a.mask) & (b.value | b.mask);
  return {ones, maybe & ~ones};
}

Tnum tnum_or(Tnum a, Tnum b) {
  const uint64_t ones = a.value | b.value;
  return {ones, (a.mask | b.mask) & ~ones};
}

Tnum tnum_xor(Tnum a, Tnum b) {
  const uint64_t mask = a.mask | b.mask;
  return {(a.value ^ b.value) & ~mask, mask};
}

// Long multiplication over the bits of a: where one is not known, what follows from either value of
// it is joined.
Tnum tnum_mul(Tnum a, Tnum b) {
  Tnum sum = tnum_const(0);
  while ((a.value | a.mask) != 0) {
    const Tnum with = tnum_add(sum, b);
    if ((a.value & 1) != 0) sum = with;
    if ((a.mask & 1) != 0) sum = tnum_join(sum, with);
    a = tnum_shift_right(a, 1);
    b = tnum_shift_left(b, 1);
  }
  return sum;
}

Tnum tnum_shift_left(Tnum a, uint32_t by) { return {a.value << by, a.mask << by}; }
Tnum tnum_shift_right(Tnum a, uint32_t by) { return {a.value >> by, a.mask >> by}; }

// An unknown sign bit is copied as unknown.
Tnum tnum_shift_right_signed(Tnum a, uint32_t by, uint32_t width) {
  if (width == 32) {
    const auto value = static_cast<uint32_t>(static_cast<int32_t>(a.value) >> by);
    const auto mask = static_cast<uint32_t>(static_cast<int32_t>(a.mask) >> by);
    return {value, mask};
  }
  return {static_cast<uint64_t>(static_cast<int64_t>(a.value) >> by),
          static_cast<uint64_t>(static_cast<int64_t>(a.mask) >> by)};
}

Tnum tnum_intersect(Tnum a, Tnum b) {
  const uint64_t mask = a.mask & b.mask;
  return {(a.value | b.value) & ~mask, mask};
}

// Above the highest known bit in which x is not one of a's values, x is kept if that bit makes the
// result larger, else counted up; below it the smallest value follows.
uint64_t tnum_next(Tnum a, uint64_t x) {
  const uint64_t different = (x ^ a.value) & ~a.mask;
  const uint64_t below = different == 0 ? 0 : ~0ull >> std::countl_zero(different);
  const uint64_t highest = below & ~(below >> 1);
  if ((a.value & highest) != 0) return a.value | (x & a.mask & ~below);
  return a.value | (((x | ~a.mask | below) + 1) & a.mask);
}

Tnum tnum_join(Tnum a, Tnum b) {
  const uint64_t mask = a.mask | b.mask | (a.value ^ b.value);
  return {a.value & ~mask, mask};
}

bool tnum_includes(Tnum a, Tnum b) {
  return (b.mask & ~a.mask) == 0 && a.value == (b.value & ~a.mask);
}

}  // namespace sluice::bpf
