// Loops with callbacks, iteration and tail calls, on both engines.
#include <gtest/gtest.h>

#include <numeric>

#include "base/limits.hpp"
#include "bpf/interp/interp.hpp"
#include "bpf/jit/jit.hpp"
#include "tests/unit/jit/programs.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

const std::vector<uint8_t> kBytes(64, 0x11);

void expect_both(const BothResults& results, uint64_t expected) {
  EXPECT_EQ(results.interpreted, expected) << "interpreter";
  EXPECT_EQ(results.compiled, expected) << "jit";
}

Code callback(uint8_t dst, uint32_t subprogram) { return imm64(dst, subprogram, BPF_PSEUDO_FUNC); }

// fp-8 = 0; bpf_loop(count, callback, fp-8, flags); R0 = R0 * 1000 + fp-8. The callback adds its
// index to what it is given and stops at `stop`.
std::shared_ptr<AnnotatedProgram> loop_program(int32_t count, int32_t stop, int32_t flags = 0) {
  Code code{store_imm(BPF_DW, 10, -8, 0), mov(1, count)};
  code << callback(2, 1) << mov_reg(3, 10) << alu(BPF_ADD, 3, -8) << mov(4, flags)
       << call(BPF_FUNC_loop);
  code << load(BPF_DW, 1, 10, -8) << alu(BPF_MUL, 0, 1000) << alu_reg(BPF_ADD, 0, 1) << exit();
  const auto start = static_cast<uint32_t>(code.size());
  code << load(BPF_DW, 3, 2, 0) << alu_reg(BPF_ADD, 3, 1) << store(BPF_DW, 2, 0, 3) << mov(0, 0);
  code << jump(BPF_JNE, 1, stop, 1) << mov(0, 1) << exit();
  auto program = annotate(code, {0, start});
  note(*program, 0, Region::stack, -8);
  note(*program, 8, Region::stack, -8);
  note(*program, start, Region::stack);
  note(*program, start + 2, Region::stack);
  return program;
}

TEST(Loop, CallsBackSoManyTimes) { expect_both(run_both(loop_program(10, -1), kBytes), 10'045); }
TEST(Loop, StopsWhenTheCallbackSaysSo) {
  expect_both(run_both(loop_program(10, 4), kBytes), 5'010);
}
TEST(Loop, OfNoneCallsNothing) { expect_both(run_both(loop_program(0, -1), kBytes), 0); }
TEST(Loop, RefusesTooManyAndFlags) {
  expect_both(run_both(loop_program((1 << 23) + 1, -1), kBytes),
              static_cast<uint64_t>(int64_t{-E2BIG} * 1000));
  expect_both(run_both(loop_program(3, -1, 1), kBytes),
              static_cast<uint64_t>(int64_t{-EINVAL} * 1000));
}

// The outer callback runs an inner loop of its index: sum over i < 5 of i.
TEST(Loop, NestsInACallback) {
  Code code{store_imm(BPF_DW, 10, -8, 0), mov(1, 5)};
  code << callback(2, 1) << mov_reg(3, 10) << alu(BPF_ADD, 3, -8) << mov(4, 0)
       << call(BPF_FUNC_loop);
  code << load(BPF_DW, 0, 10, -8) << exit();
  const auto outer = static_cast<uint32_t>(code.size());
  code << mov_reg(3, 2) << callback(2, 2) << mov(4, 0) << call(BPF_FUNC_loop) << mov(0, 0)
       << exit();
  const auto inner = static_cast<uint32_t>(code.size());
  code << load(BPF_DW, 3, 2, 0) << alu(BPF_ADD, 3, 1) << store(BPF_DW, 2, 0, 3) << mov(0, 0)
       << exit();
  auto program = annotate(code, {0, outer, inner});
  note(*program, 0, Region::stack, -8);
  note(*program, 8, Region::stack, -8);
  note(*program, inner, Region::stack);
  note(*program, inner + 2, Region::stack);
  expect_both(run_both(program, kBytes), 10);
}

// fp-8 = 0; for_each_map_elem(map, callback, fp-8, 0); R0 = R0 * 1000 + fp-8, the sum of the 4-byte
// keys times 8-byte values.
std::shared_ptr<AnnotatedProgram> for_each_program(const std::shared_ptr<Map>& map, bool known) {
  Code code{store_imm(BPF_DW, 10, -8, 0)};
  code << map_fd(1, 0) << callback(2, 1) << mov_reg(3, 10) << alu(BPF_ADD, 3, -8) << mov(4, 0);
  const auto called = static_cast<uint32_t>(code.size());
  code << call(BPF_FUNC_for_each_map_elem) << load(BPF_DW, 1, 10, -8) << alu(BPF_MUL, 0, 1000);
  code << alu_reg(BPF_ADD, 0, 1) << exit();
  const auto start = static_cast<uint32_t>(code.size());
  code << load(BPF_W, 2, 2, 0) << load(BPF_DW, 3, 3, 0) << alu_reg(BPF_MUL, 2, 3)
       << load(BPF_DW, 5, 4, 0);
  code << alu_reg(BPF_ADD, 5, 2) << store(BPF_DW, 4, 0, 5) << mov(0, 0) << exit();
  auto program = annotate(code, {0, start});
  program->maps = {map};
  if (known) program->facts[called].map_index = 0;
  note(*program, 0, Region::stack, -8);
  note(*program, called + 1, Region::stack, -8);
  note(*program, start, Region::memory);
  note(*program, start + 1, Region::map_value);
  note(*program, start + 3, Region::stack);
  note(*program, start + 5, Region::stack);
  return program;
}

TEST(ForEachMapElem, SeesEveryElementOnce) {
  for (const uint32_t type : {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH}) {
    // More elements than a bucket has lanes, so that some hang on lists.
    const std::shared_ptr<Map> map = *Map::create({"map", type, 4, 8, 100});
    uint64_t expected = 0;
    for (uint32_t key = 0; key < 100; key++) {
      const uint64_t value = key * 3 + 1;
      ASSERT_EQ(map->update(&key, &value, BPF_ANY), 0);
      expected += key * value;
    }
    expect_both(run_both(for_each_program(map, true), kBytes), 100'000 + expected);
    expect_both(run_both(for_each_program(map, false), kBytes), 100'000 + expected);
  }
}

TEST(ForEachMapElem, OfAnEmptyMapSeesNone) {
  const std::shared_ptr<Map> map = *Map::create({"map", BPF_MAP_TYPE_HASH, 4, 8, 100});
  expect_both(run_both(for_each_program(map, true), kBytes), 0);
}

// Counts a run in map 0, then tail-calls element `index` of map 1; falling through gives R0 = 7777.
std::shared_ptr<AnnotatedProgram> counting_program(const std::shared_ptr<Map>& counts,
                                                   const std::shared_ptr<Map>& targets,
                                                   int32_t index, bool known) {
  Code code{mov_reg(6, 1)};
  code << map_value(1, 0) << mov(2, 1) << atomic(BPF_DW, BPF_ADD, 1, 0, 2);
  code << mov_reg(1, 6) << map_fd(2, 1) << mov(3, index);
  const auto called = static_cast<uint32_t>(code.size());
  code << call(BPF_FUNC_tail_call) << mov(0, 7777) << exit();
  auto program = annotate(code);
  program->maps = {counts, targets};
  if (known) program->facts[called].map_index = 1;
  note(*program, 4, Region::map_value);
  return program;
}

struct TailCalls : testing::Test {
  std::shared_ptr<Map> counts = *Map::create({"counts", BPF_MAP_TYPE_ARRAY, 4, 8, 1});
  std::shared_ptr<TargetArray> targets = std::make_shared<TargetArray>(4);
  uint64_t taken() {
    const uint32_t key = 0;
    uint64_t value = 0;
    EXPECT_EQ(counts->lookup(&key, &value), 0);
    const uint64_t zero = 0;
    EXPECT_EQ(counts->update(&key, &zero, BPF_ANY), 0);
    return value;
  }
};

uint64_t run_code(TailCode code, const TailTarget* target) {
  LinearPacket packet;
  packet.buffer = kBytes.data();
  packet.captured = packet.wire_length = static_cast<uint32_t>(kBytes.size());
  RunEnv env;
  PacketContext ctx;
  load_context(&ctx, kLinearLayout, &packet, &env);
  return code(&ctx, target);
}

TEST_F(TailCalls, GoOnIn33ProgramsAndThenFallThrough) {
  for (const bool known : {true, false}) {
    const auto program = counting_program(counts, targets, 2, known);
    TailTarget interpreted{program.get(), &interpret_target};
    targets->set(2, &interpreted);
    EXPECT_EQ(run_code(&interpret_target, &interpreted), 7777u);
    EXPECT_EQ(taken(), kMaxTailCalls + 1);
    auto compiled = jit::make_program(program);
    ASSERT_TRUE(compiled) << compiled.error().text;
    TailTarget target{program.get(), (*compiled)->code()};
    targets->set(2, &target);
    EXPECT_EQ(run_code(target.code, &target), 7777u);
    EXPECT_EQ(taken(), kMaxTailCalls + 1);
  }
}

TEST_F(TailCalls, GiveTheTargetsResult) {
  const auto target_program = annotate({mov(0, 42), exit()});
  TailTarget target{target_program.get(), &interpret_target};
  targets->set(1, &target);
  expect_both(run_both(counting_program(counts, targets, 1, true), kBytes), 42);
  EXPECT_EQ(taken(), 2u);
}

TEST_F(TailCalls, FallThroughWhereThereIsNoTarget) {
  for (const int32_t index : {0, 3, 4, -1}) {
    expect_both(run_both(counting_program(counts, targets, index, true), kBytes), 7777);
  }
}

// The call in a subprogram ends the subprogram alone.
TEST_F(TailCalls, InASubprogramReturnToItsCaller) {
  const auto target_program = annotate({mov(0, 42), exit()});
  TailTarget target{target_program.get(), &interpret_target};
  targets->set(1, &target);
  Code code{call_local(2), alu(BPF_ADD, 0, 100), exit()};
  code << map_fd(2, 0) << mov(3, 1) << call(BPF_FUNC_tail_call) << mov(0, 1) << exit();
  auto program = annotate(code, {0, 3});
  program->maps = {targets};
  expect_both(run_both(program, kBytes), 142);
}

TEST_F(TailCalls, AreCountedAnewForEachProgramOfAChainAndEachPacket) {
  const auto program = counting_program(counts, targets, 2, true);
  auto compiled = jit::make_program(program);
  ASSERT_TRUE(compiled) << compiled.error().text;
  TailTarget target{program.get(), (*compiled)->code()};
  targets->set(2, &target);
  auto burst = jit::make_burst({{program, program}, kLinearLayout});
  ASSERT_TRUE(burst) << burst.error().text;
  LinearPacket packet;
  packet.buffer = kBytes.data();
  packet.captured = packet.wire_length = static_cast<uint32_t>(kBytes.size());
  void* packets[] = {&packet, &packet};
  uint32_t verdicts[2];
  RunEnv env;
  ProgramCounters counters[2];
  (*burst)->run(packets, 2, verdicts, &env, counters);
  EXPECT_EQ(verdicts[1], 64u);
  EXPECT_EQ(taken(), 4 * (kMaxTailCalls + 1));
}

TEST(PacketLoad, OutOfRangeInASubprogramReturns0ToItsCaller) {
  Code code{mov_reg(6, 1), call_local(2), alu(BPF_ADD, 0, 5), exit()};
  code << mov_reg(6, 1) << load_abs(BPF_W, 62) << mov(0, 9) << exit();
  expect_both(run_both(annotate(code, {0, 4}), kBytes), 5);
}

}  // namespace
}  // namespace sluice::bpf
