// Bodies called as the interpreter calls them. Expected numbers are what Linux 6.18 gave in a
// sched_cls program.
#include "bpf/helpers/bodies.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

namespace sluice::bpf {
namespace {

uint64_t at(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

constexpr uint32_t kLeft[4] = {0x11223344, 0xffffffff, 0x80000001, 0xdeadbeef};
constexpr uint32_t kRight[4] = {0xcafebabe, 0x00000001, 0x7fffffff, 0xffff0000};
constexpr uint32_t kZeros[2] = {};

TEST(CsumDiff, AnswersAsLinuxDoes) {
  const struct {
    const uint32_t* from;
    uint32_t from_size;
    const uint32_t* to;
    uint32_t to_size;
    uint32_t seed;
    uint64_t expected;
  } cases[] = {
      {nullptr, 0, kLeft, 16, 0, 0x6205},         {kLeft, 16, nullptr, 0, 0, 0x9dfa},
      {kLeft, 16, kRight, 16, 0, 0xa3b8},         {kLeft, 4, kRight, 8, 0xffff, 0x4158},
      {kLeft, 4, kRight, 8, 0x12345678, 0xaa04},  {kLeft, 4, kLeft, 4, 0, 0xffff},
      {nullptr, 0, nullptr, 0, 0x12345678, 0x68ac}, {kLeft, 0, kRight, 3, 0, 0xbbbc},
      {kLeft, 4, kLeft, 4, 0xffffffff, 0xffff},   {kLeft, 16, kRight, 16, 0xffffffff, 0xa3b8},
      {kLeft, 16, nullptr, 0, 0xfffe1234, 0xb02d}, {kZeros, 8, nullptr, 0, 0, 0},
      {nullptr, 0, kZeros, 8, 0, 0},              {kZeros, 8, kZeros, 8, 0, 0xffff},
      {kZeros, 8, kZeros, 8, 0xffff, 0xffff},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(sluice_helper_csum_diff(nullptr, at(each.from), each.from_size, at(each.to),
                                      each.to_size, each.seed),
              each.expected)
        << &each - cases;
  }
}

TEST(Strncmp, ComparesToTheEndOfEither) {
  const struct {
    const char* left;
    uint32_t size;
    const char* right;
    int64_t expected;
  } cases[] = {{"abc", 4, "abd", -1}, {"abz", 4, "abd", 1}, {"abd", 4, "abd", 0},
               {"abz", 2, "abd", 0},  {"ab", 3, "abd", -1}, {"\xff", 2, "a", 1},
               {"", 1, "", 0}};
  for (const auto& each : cases) {
    EXPECT_EQ(static_cast<int64_t>(
                  sluice_helper_strncmp(nullptr, at(each.left), each.size, at(each.right), 0, 0)),
              each.expected)
        << each.left;
  }
}

TEST(SkbLoadBytesRelative, CountsFromEitherHeader) {
  uint8_t bytes[64];
  std::iota(bytes, bytes + sizeof bytes, uint8_t{0});
  LinearPacket packet;
  packet.buffer = bytes;
  packet.captured = packet.wire_length = sizeof bytes;
  RunEnv env;
  PacketContext ctx;
  load_context(&ctx, kLinearLayout, &packet, &env);
  const struct {
    uint64_t offset;
    uint64_t start;
    int64_t result;
    uint32_t word;
  } cases[] = {{0, BPF_HDR_START_NET, 0, 0x11100f0e},
               {0, BPF_HDR_START_MAC, 0, 0x03020100},
               {46, BPF_HDR_START_NET, 0, 0x3f3e3d3c},
               {47, BPF_HDR_START_NET, -EFAULT, 0},
               {0, 7, -EFAULT, 0},
               {0xfffffff2, BPF_HDR_START_NET, -EFAULT, 0}};
  for (const auto& each : cases) {
    uint32_t word = 0x55555555;
    const auto result = sluice_helper_skb_load_bytes_relative(&ctx, at(&ctx), each.offset,
                                                              at(&word), 4, each.start);
    EXPECT_EQ(static_cast<int64_t>(result), each.result) << each.offset;
    EXPECT_EQ(word, each.word) << each.offset;
  }
}

TEST(Clocks, AreInTheirOrder) {
  const uint64_t coarse = sluice_helper_ktime_get_coarse_ns(nullptr, 0, 0, 0, 0, 0);
  const uint64_t fine = sluice_helper_ktime_get_ns(nullptr, 0, 0, 0, 0, 0);
  const uint64_t boot = sluice_helper_ktime_get_boot_ns(nullptr, 0, 0, 0, 0, 0);
  const uint64_t tai = sluice_helper_ktime_get_tai_ns(nullptr, 0, 0, 0, 0, 0);
  EXPECT_GT(coarse, 0u);
  EXPECT_LE(coarse, fine);
  EXPECT_LE(fine, boot);            // which counts sleep too
  EXPECT_GT(tai, 1'600'000'000ull * 1'000'000'000);  // since 1970
}

// HZ is 100 to 1000, and the count starts five minutes before it passes 32 bits.
TEST(Clocks, JiffiesStartBelow32BitsAndRun) {
  const uint64_t jiffies = sluice_helper_jiffies64(nullptr, 0, 0, 0, 0, 0);
  const uint64_t seconds = sluice_helper_ktime_get_ns(nullptr, 0, 0, 0, 0, 0) / 1'000'000'000;
  EXPECT_GE(jiffies, (1ull << 32) - 300 * 1000 + seconds * 100);
  EXPECT_LE(jiffies, (1ull << 32) - 300 * 100 + (seconds + 1) * 1000);
}

TEST(SpinLock, IsTakenAndGivenBack) {
  uint32_t lock = 0;
  sluice_helper_spin_lock(nullptr, at(&lock), 0, 0, 0, 0);
  EXPECT_NE(lock, 0u);
  sluice_helper_spin_unlock(nullptr, at(&lock), 0, 0, 0, 0);
  EXPECT_EQ(lock, 0u);
}

}  // namespace
}  // namespace sluice::bpf
