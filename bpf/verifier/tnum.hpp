// Tristate numbers: what is known of each bit of a 64-bit value (Vishwanathan et al., "Sound,
// Precise, and Fast Abstract Interpretation with Tristate Numbers", 2022). Plain values; any
// thread.
#pragma once

#include <cstdint>

namespace sluice::bpf {

// A bit set in mask is unknown; otherwise it is the bit of value. value and mask share no bit.
struct Tnum {
  uint64_t value = 0;
  uint64_t mask = ~0ull;

  [[nodiscard]] bool is_const() const { return mask == 0; }
  [[nodiscard]] bool contains(uint64_t x) const { return (x & ~mask) == value; }
  [[nodiscard]] bool is_aligned(uint64_t size) const { return ((value | mask) & (size - 1)) == 0; }
  bool operator==(const Tnum&) const = default;
};

inline constexpr Tnum tnum_const(uint64_t value) { return {value, 0}; }
inline constexpr Tnum tnum_unknown() { return {0, ~0ull}; }
Tnum tnum_range(uint64_t min, uint64_t max);
Tnum tnum_add(Tnum a, Tnum b);
Tnum tnum_sub(Tnum a, Tnum b);
Tnum tnum_and(Tnum a, Tnum b);
Tnum tnum_or(Tnum a, Tnum b);
Tnum tnum_xor(Tnum a, Tnum b);
Tnum tnum_mul(Tnum a, Tnum b);
Tnum tnum_shift_left(Tnum a, uint32_t by);
Tnum tnum_shift_right(Tnum a, uint32_t by);
// width 32: of the low word, whose result is zero-extended.
Tnum tnum_shift_right_signed(Tnum a, uint32_t by, uint32_t width);
// Values in both; meaningless (but well formed) where there is none.
Tnum tnum_intersect(Tnum a, Tnum b);
// All values of both.
Tnum tnum_join(Tnum a, Tnum b);
// The smallest value of a above x; one that is not above x: there is none.
uint64_t tnum_next(Tnum a, uint64_t x);
// Every value of b is one of a.
bool tnum_includes(Tnum a, Tnum b);

inline constexpr Tnum tnum_low(Tnum a) { return {a.value & 0xffffffffu, a.mask & 0xffffffffu}; }
inline constexpr Tnum tnum_with_low(Tnum a, Tnum low) {
  return {(a.value & ~0xffffffffull) | low.value, (a.mask & ~0xffffffffull) | low.mask};
}

}  // namespace sluice::bpf
