// Soundness of the abstract numbers: whatever concrete values an abstract one covers, the abstract
// result of an operation covers the concrete results.
#include "bpf/verifier/scalar.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <vector>

namespace sluice::bpf {
namespace {

constexpr std::array<uint8_t, 10> kAluOps{BPF_ADD, BPF_SUB, BPF_MUL, BPF_AND, BPF_OR,
                                          BPF_XOR, BPF_LSH, BPF_RSH, BPF_ARSH, BPF_NEG};
constexpr std::array<uint8_t, 11> kJumpOps{BPF_JEQ, BPF_JNE, BPF_JGT,  BPF_JGE,  BPF_JLT, BPF_JLE,
                                           BPF_JSET, BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE};

uint64_t concrete_alu(uint8_t op, bool is64, uint64_t a, uint64_t b) {
  const uint32_t shift = b & (is64 ? 63 : 31);
  uint64_t out = 0;
  switch (op) {
    case BPF_ADD: out = a + b; break;
    case BPF_SUB: out = a - b; break;
    case BPF_MUL: out = a * b; break;
    case BPF_AND: out = a & b; break;
    case BPF_OR: out = a | b; break;
    case BPF_XOR: out = a ^ b; break;
    case BPF_NEG: out = -a; break;
    case BPF_LSH: out = a << shift; break;
    case BPF_RSH: out = (is64 ? a : static_cast<uint32_t>(a)) >> shift; break;
    default:
      out = is64 ? static_cast<uint64_t>(static_cast<int64_t>(a) >> shift)
                 : static_cast<uint32_t>(static_cast<int32_t>(a) >> shift);
      break;
  }
  return is64 ? out : static_cast<uint32_t>(out);
}

bool concrete_jump(uint8_t op, bool is64, uint64_t a, uint64_t b) {
  auto sa = static_cast<int64_t>(a);
  auto sb = static_cast<int64_t>(b);
  if (!is64) {
    a = static_cast<uint32_t>(a);
    b = static_cast<uint32_t>(b);
    sa = static_cast<int32_t>(a);
    sb = static_cast<int32_t>(b);
  }
  switch (op) {
    case BPF_JEQ: return a == b;
    case BPF_JNE: return a != b;
    case BPF_JGT: return a > b;
    case BPF_JGE: return a >= b;
    case BPF_JLT: return a < b;
    case BPF_JLE: return a <= b;
    case BPF_JSET: return (a & b) != 0;
    case BPF_JSGT: return sa > sb;
    case BPF_JSGE: return sa >= sb;
    case BPF_JSLT: return sa < sb;
    default: return sa <= sb;
  }
}

// An abstract number together with some concrete ones it covers.
struct Sample {
  Scalar scalar;
  std::vector<uint64_t> values;
};

class Source {
 public:
  explicit Source(uint64_t seed) : random_(seed) {}

  uint64_t number() {
    static constexpr std::array<uint64_t, 12> kEdges{
        0,          1,           7,         0x7f,       0x7fffffff, 0x80000000,
        0xffffffff, 0x100000000, INT64_MAX, 1ull << 63, ~0ull,      ~0ull << 31};
    const uint64_t base = kEdges[random_() % kEdges.size()];
    switch (random_() % 4) {
      case 0: return base;
      case 1: return base + random_() % 16 - 8;
      case 2: return random_() >> (random_() % 64);
      default: return random_();
    }
  }

  // Covers the values with the tightest ranges and some of the bits, then lets it sync.
  Sample sample() {
    Sample out;
    const uint64_t base = number();
    const size_t count = 1 + random_() % 5;
    const uint32_t spread = random_() % 64;
    for (size_t i = 0; i < count; i++) {
      out.values.push_back(random_() % 3 == 0 ? number() : base + (random_() >> spread));
    }
    if (random_() % 4 == 0) out.values.resize(1);
    Scalar& s = out.scalar;
    const uint64_t first = out.values[0];
    s = Scalar::constant(first);
    for (const uint64_t x : out.values) {
      s.bits.mask |= x ^ first;
      widen(&s.wide, x);
      widen(&s.low, static_cast<uint32_t>(x));
    }
    if (random_() % 2 == 0) s.bits.mask |= random_() & random_();
    s.bits.value &= ~s.bits.mask;
    // Forget some of it.
    if (random_() % 3 == 0) s.wide = Range64{};
    if (random_() % 3 == 0) s.low = Range32{};
    if (random_() % 3 == 0) s.bits = tnum_unknown();
    s.sync();
    return out;
  }
  uint64_t operator()() { return random_(); }

 private:
  template <class U>
  static void widen(Range<U>* range, U x) {
    using S = typename Range<U>::S;
    range->umin = std::min(range->umin, x);
    range->umax = std::max(range->umax, x);
    range->smin = std::min(range->smin, static_cast<S>(x));
    range->smax = std::max(range->smax, static_cast<S>(x));
  }
  std::mt19937_64 random_;
};

TEST(Tnum, TheNextValueIsTheSmallestOneAbove) {
  for (uint64_t mask = 0; mask < 64; mask++) {
    for (uint64_t value = 0; value < 64; value++) {
      if ((value & mask) != 0) continue;
      for (uint64_t x = 0; x < 80; x++) {
        uint64_t next = x + 1;
        while (next < 128 && (next & ~mask) != value) next++;
        const uint64_t found = tnum_next({value, mask}, x);
        if (next == 128) {
          ASSERT_LE(found, x) << value << " " << mask << " " << x;
        } else {
          ASSERT_EQ(found, next) << value << " " << mask << " " << x;
        }
      }
    }
  }
}

TEST(Scalar, SyncNeverLosesAValue) {
  Source source(1);
  for (int i = 0; i < 200000; i++) {
    const Sample a = source.sample();
    for (const uint64_t x : a.values) ASSERT_TRUE(a.scalar.contains(x)) << i << " " << x;
  }
}

TEST(Scalar, ArithmeticCoversAllConcreteResults) {
  Source source(2);
  for (int i = 0; i < 100000; i++) {
    const Sample a = source.sample();
    Sample b = source.sample();
    const uint8_t op = kAluOps[source() % kAluOps.size()];
    const bool is64 = source() % 2 == 0;
    const bool shifts = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
    if (shifts && source() % 4 != 0)
      b = {Scalar::constant(i % 70), {static_cast<uint64_t>(i % 70)}};
    const Scalar out = scalar_alu(op, is64, a.scalar, b.scalar);
    for (const uint64_t x : a.values) {
      for (const uint64_t y : b.values) {
        ASSERT_TRUE(out.contains(concrete_alu(op, is64, x, y)))
            << i << " op " << int{op} << (is64 ? " 64 " : " 32 ") << x << " " << y;
      }
    }
  }
}

TEST(Scalar, ComparisonsDecideOnlyWhatHoldsForAllValues) {
  Source source(3);
  int decided = 0;
  for (int i = 0; i < 200000; i++) {
    const Sample a = source.sample();
    const Sample b = source.sample();
    const uint8_t op = kJumpOps[source() % kJumpOps.size()];
    const bool is64 = source() % 2 == 0;
    const int known = scalar_compare(op, is64, a.scalar, b.scalar);
    decided += known >= 0 ? 1 : 0;
    if (known < 0) continue;
    for (const uint64_t x : a.values) {
      for (const uint64_t y : b.values) {
        ASSERT_EQ(concrete_jump(op, is64, x, y), known == 1)
            << i << " op " << int{op} << " " << x << " " << y;
      }
    }
  }
  EXPECT_GT(decided, 10000);
}

TEST(Scalar, BranchesKeepEveryValueThatTakesThem) {
  Source source(4);
  for (int i = 0; i < 200000; i++) {
    const Sample a = source.sample();
    const Sample b = source.sample();
    const uint8_t op = kJumpOps[source() % kJumpOps.size()];
    const bool is64 = source() % 2 == 0;
    for (const bool taken : {true, false}) {
      Scalar left = a.scalar;
      Scalar right = b.scalar;
      scalar_assume(op, is64, taken, &left, &right);
      for (const uint64_t x : a.values) {
        for (const uint64_t y : b.values) {
          if (concrete_jump(op, is64, x, y) != taken) continue;
          ASSERT_TRUE(left.contains(x) && right.contains(y))
              << i << " op " << int{op} << (is64 ? " 64 " : " 32 ") << taken << " " << x << " "
              << y;
        }
      }
    }
  }
}

TEST(Scalar, ExtensionsCoverAllConcreteResults) {
  Source source(5);
  for (int i = 0; i < 100000; i++) {
    const Sample a = source.sample();
    const uint32_t bytes = 1u << (source() % 3);
    const uint32_t shift = 64 - bytes * 8;
    const Scalar zero = zero_extend(a.scalar, bytes);
    const Scalar sign = sign_extend(a.scalar, bytes);
    const Scalar swap = scalar_swap(a.scalar, 16u << (source() % 3), true);
    (void)swap;
    for (const uint64_t x : a.values) {
      ASSERT_TRUE(zero.contains(x << shift >> shift)) << i << " " << x;
      ASSERT_TRUE(sign.contains(static_cast<uint64_t>(static_cast<int64_t>(x << shift) >> shift)))
          << i << " " << x;
      ASSERT_TRUE(scalar_swap(a.scalar, 64, true).contains(__builtin_bswap64(x)));
      ASSERT_TRUE(
          scalar_swap(a.scalar, 32, true).contains(__builtin_bswap32(static_cast<uint32_t>(x))));
      ASSERT_TRUE(
          scalar_swap(a.scalar, 16, true).contains(__builtin_bswap16(static_cast<uint16_t>(x))));
      ASSERT_TRUE(scalar_swap(a.scalar, 16, false).contains(static_cast<uint16_t>(x)));
    }
  }
}

TEST(Scalar, InclusionMeansEveryValueIsCovered) {
  Source source(6);
  int included = 0;
  for (int i = 0; i < 200000; i++) {
    const Sample a = source.sample();
    const Sample b =
        source() % 2 == 0 ? source.sample() : Sample{Scalar::constant(a.values[0]), {a.values[0]}};
    if (!a.scalar.includes(b.scalar)) continue;
    included++;
    for (const uint64_t x : b.values) ASSERT_TRUE(a.scalar.contains(x));
  }
  EXPECT_GT(included, 1000);
}

TEST(Scalar, KnownResultsAreExact) {
  EXPECT_EQ(scalar_alu(BPF_ADD, true, Scalar::constant(2), Scalar::constant(3)),
            Scalar::constant(5));
  EXPECT_EQ(scalar_alu(BPF_SUB, false, Scalar::constant(2), Scalar::constant(3)),
            Scalar::constant(0xffffffff));
  EXPECT_EQ(scalar_alu(BPF_NEG, true, Scalar::constant(1), Scalar::constant(0)),
            Scalar::constant(~0ull));
  EXPECT_EQ(scalar_alu(BPF_AND, true, Scalar::unknown(), Scalar::constant(7)).wide.umax, 7u);
  EXPECT_EQ(Scalar::of_size(2).wide.umax, 0xffffu);
}

// Every tristate number of four bits, with every value it covers.
TEST(Tnum, FourBitOperationsAreSoundExhaustively) {
  std::vector<Tnum> all;
  for (uint64_t mask = 0; mask < 16; mask++) {
    for (uint64_t value = 0; value < 16; value++) {
      if ((value & mask) == 0) all.push_back({value, mask});
    }
  }
  for (const Tnum a : all) {
    for (const Tnum b : all) {
      for (uint64_t x = 0; x < 16; x++) {
        if (!a.contains(x)) continue;
        for (uint64_t y = 0; y < 16; y++) {
          if (!b.contains(y)) continue;
          ASSERT_TRUE(tnum_add(a, b).contains(x + y));
          ASSERT_TRUE(tnum_sub(a, b).contains(x - y));
          ASSERT_TRUE(tnum_mul(a, b).contains(x * y));
          ASSERT_TRUE(tnum_and(a, b).contains(x & y));
          ASSERT_TRUE(tnum_or(a, b).contains(x | y));
          ASSERT_TRUE(tnum_xor(a, b).contains(x ^ y));
          if (x == y) {
            ASSERT_TRUE(tnum_intersect(a, b).contains(x));
          } else {
            ASSERT_TRUE(tnum_range(std::min(x, y), std::max(x, y)).contains(x));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace sluice::bpf
