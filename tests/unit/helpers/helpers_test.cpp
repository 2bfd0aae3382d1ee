// Helper bodies called as the interpreter calls them.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "bpf/helpers/bodies.hpp"
#include "bpf/helpers/helper.hpp"
#include "bpf/helpers/trace.hpp"
#include "bpf/progs/program_type.hpp"

namespace sluice::bpf {
namespace {

uint64_t address(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

struct Fixture : testing::Test {
  Fixture() {
    for (uint32_t i = 0; i < sizeof bytes; i++) bytes[i] = static_cast<uint8_t>(i);
    env.trace = &sink;
    env.slot = 3;
    packet.buffer = bytes;
    packet.captured = packet.wire_length = sizeof bytes;
    load_context(&ctx, kLinearLayout, &packet, &env);
  }
  int64_t print(const std::string& format, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0) {
    return static_cast<int64_t>(
        sluice_helper_trace_printk(&ctx, address(format.c_str()), format.size() + 1, a, b, c));
  }
  std::string printed() {
    std::string line;
    return sink.take(line) ? line : "(nothing)";
  }

  uint8_t bytes[64];
  TraceSink sink;
  RunEnv env;
  LinearPacket packet;
  PacketContext ctx;
};

struct TracePrintk : Fixture {};
struct SkbLoadBytes : Fixture {};
struct SmallHelpers : Fixture {};

TEST_F(TracePrintk, FormatsEachConversion) {
  EXPECT_GT(print("%d %u %x", static_cast<uint64_t>(-5), 0x1ffffffffu, 255), 0);
  EXPECT_EQ(printed(), "-5 4294967295 ff");
  EXPECT_GT(print("%lld %llu %lx", static_cast<uint64_t>(INT64_MIN), UINT64_MAX, 1ull << 40), 0);
  EXPECT_EQ(printed(), "-9223372036854775808 18446744073709551615 10000000000");
  EXPECT_GT(print("100%% of %i\n", 7), 0);
  EXPECT_EQ(printed(), "100% of 7");
}

TEST_F(TracePrintk, RefusesWhatTheKernelRefuses) {
  EXPECT_EQ(print("%n", 1), -EINVAL);
  EXPECT_EQ(print("%d %d %d %d", 1, 2, 3), -EINVAL);
  EXPECT_EQ(print("%"), -EINVAL);
  char open[2] = {'a', 'b'};
  EXPECT_EQ(static_cast<int64_t>(sluice_helper_trace_printk(&ctx, address(open), 2, 0, 0, 0)),
            -EINVAL);
  EXPECT_EQ(printed(), "(nothing)");
}

TEST_F(TracePrintk, ALongLineIsCut) {
  print(std::string(400, 'x'));
  EXPECT_EQ(printed(), std::string(TraceSink::kLineLength, 'x'));
}

TEST_F(TracePrintk, AFullRingDropsAndCounts) {
  for (uint32_t i = 0; i < TraceSink::kLines + 5; i++) print("line");
  EXPECT_EQ(sink.dropped(), 5u);
  for (uint32_t i = 0; i < TraceSink::kLines; i++) EXPECT_EQ(printed(), "line");
  EXPECT_EQ(printed(), "(nothing)");
}

TEST_F(SkbLoadBytes, CopiesInRange) {
  uint8_t out[8];
  EXPECT_EQ(sluice_helper_skb_load_bytes(&ctx, address(&ctx), 56, address(out), 8, 0), 0u);
  EXPECT_EQ(std::memcmp(out, bytes + 56, 8), 0);
}

TEST_F(SkbLoadBytes, OutOfRangeIsEfaultAndZeroes) {
  for (const uint64_t offset : {57ull, 64ull, 0x7fffffffull, 0x80000000ull, 0xffffffffull}) {
    uint8_t out[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    const auto result =
        sluice_helper_skb_load_bytes(&ctx, address(&ctx), offset, address(out), 8, 0);
    EXPECT_EQ(static_cast<int64_t>(result), -EFAULT) << offset;
    for (const uint8_t byte : out) EXPECT_EQ(byte, 0);
  }
}

TEST_F(SmallHelpers, ProcessorIdIsTheSlot) {
  EXPECT_EQ(sluice_helper_get_smp_processor_id(&ctx, 0, 0, 0, 0, 0), 3u);
}

TEST_F(SmallHelpers, RandomNumbersAre32BitsAndDiffer) {
  uint64_t all = 0;
  uint64_t last = ~0ull;
  for (int i = 0; i < 100; i++) {
    const uint64_t next = sluice_helper_get_prandom_u32(&ctx, 0, 0, 0, 0, 0);
    EXPECT_LE(next, UINT32_MAX);
    EXPECT_NE(next, last);
    all |= last = next;
  }
  EXPECT_EQ(all, UINT32_MAX);
}

TEST_F(SmallHelpers, TimeDoesNotRunBackwards) {
  const uint64_t first = sluice_helper_ktime_get_ns(&ctx, 0, 0, 0, 0, 0);
  EXPECT_GE(sluice_helper_ktime_get_ns(&ctx, 0, 0, 0, 0, 0), first);
  EXPECT_GT(first, 0u);
}

TEST(HelperTable, EveryRowIsFoundByItsId) {
  for (uint32_t id = 0; id < 300; id++) {
    const Helper* helper = find_helper(id);
    if (helper == nullptr) continue;
    EXPECT_EQ(helper->id, id);
    const std::string symbol =
        helper->body == nullptr ? "" : "sluice_helper_" + std::string(helper->name);
    EXPECT_EQ(helper->symbol, symbol);
  }
  EXPECT_TRUE(find_helper(BPF_FUNC_trace_printk)->gpl_only);
  EXPECT_FALSE(find_helper(BPF_FUNC_map_lookup_elem)->gpl_only);
}

// Counted on Linux 6.18 by loading a program a helper.
TEST(HelperTable, EachTypeMayCallAsManyHelpersAsInLinux) {
  const std::pair<uint32_t, int> expected[] = {{BPF_PROG_TYPE_SOCKET_FILTER, 88},
                                               {BPF_PROG_TYPE_SCHED_CLS, 139},
                                               {BPF_PROG_TYPE_XDP, 104},
                                               {BPF_PROG_TYPE_KPROBE, 81},
                                               {BPF_PROG_TYPE_TRACEPOINT, 81}};
  for (const auto& [type, count] : expected) {
    int found = 0;
    for (uint32_t id = 0; id < kHelperIds; id++) {
      if (!may_call(*find_program_type(type), id)) continue;
      found++;
      EXPECT_NE(find_helper(id), nullptr) << id;
    }
    EXPECT_EQ(found, count) << type;
  }
}

}  // namespace
}  // namespace sluice::bpf
