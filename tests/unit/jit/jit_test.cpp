// Chains, code quality and memory of the JIT. Semantics are in insn_test.cpp and tests/fuzz.
#include "bpf/jit/jit.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "tests/unit/jit/engines.hpp"
#include "tests/unit/jit/insn_build.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

std::shared_ptr<const AnnotatedProgram> verified(std::vector<Insn> insns, const Maps& maps = {}) {
  auto result = verify_insns(std::move(insns), maps);
  EXPECT_NE(result.program, nullptr) << result.report.reason;
  return result.program;
}

// Counts packets by their byte 23 in an array, as the shipped protocol counter does.
std::vector<Insn> protocol_count() {
  Code code{mov_reg(6, 1), load_abs(BPF_B, 23), store(BPF_W, 10, -4, 0)};
  code << map_fd(1, 0) << mov_reg(2, 10) << alu(BPF_ADD, 2, -4) << call(BPF_FUNC_map_lookup_elem);
  code << jump(BPF_JEQ, 0, 0, 2) << mov(1, 1) << atomic(BPF_DW, BPF_ADD, 0, 0, 1) << mov(0, -1) << exit();
  return code;
}

Maps array_of_256() { return {*Map::create({"counts", BPF_MAP_TYPE_ARRAY, 4, 8, 256})}; }

struct Packets {
  explicit Packets(uint32_t count) : linear(count), pointers(count) {
    for (uint32_t i = 0; i < count; i++) {
      bytes[23] = 6;
      linear[i].buffer = bytes;
      linear[i].captured = linear[i].wire_length = 60 + i;
      pointers[i] = &linear[i];
    }
  }
  uint8_t bytes[128] = {};
  std::vector<LinearPacket> linear;
  std::vector<void*> pointers;
};

TEST(JitChain, KeepsTheShortestVerdictAndCountsEachProgram) {
  const auto all = verified({mov(0, -1), exit()});
  const auto keep = verified({mov(0, 61), exit()});
  const auto long_only = verified({load(BPF_W, 0, 1, 0), jump(BPF_JGE, 0, 62, 1), mov(0, 0), exit()});
  auto burst = jit::make_burst({{all, keep, long_only}, kLinearLayout});
  ASSERT_TRUE(burst) << burst.error().text;
  Packets packets(4);  // 60 to 63 bytes
  uint32_t verdicts[4];
  RunEnv env;
  ProgramCounters counters[3];
  for (int i = 0; i < 2; i++) (*burst)->run(packets.pointers.data(), 4, verdicts, &env, counters);
  EXPECT_EQ(std::vector<uint32_t>(verdicts, verdicts + 4), (std::vector<uint32_t>{0, 0, 61, 61}));
  EXPECT_EQ(counters[0].run, 8u);
  EXPECT_EQ(counters[0].trimmed, 0u);
  EXPECT_EQ(counters[1].passed, 8u);
  EXPECT_EQ(counters[1].trimmed, 4u);
  EXPECT_EQ(counters[2].run, 8u);
  EXPECT_EQ(counters[2].passed, 4u);
}

TEST(JitChain, RunsTheNextProgramOnSurvivorsOnly) {
  const auto drop = verified({mov(0, 0), exit()});
  const auto all = verified({mov(0, -1), exit()});
  auto burst = jit::make_burst({{drop, all}, kLinearLayout});
  ASSERT_TRUE(burst) << burst.error().text;
  Packets packets(3);
  uint32_t verdicts[3] = {9, 9, 9};
  RunEnv env;
  ProgramCounters counters[2];
  (*burst)->run(packets.pointers.data(), 3, verdicts, &env, counters);
  EXPECT_EQ(verdicts[2], 0u);
  EXPECT_EQ(counters[0].run, 3u);
  EXPECT_EQ(counters[1].run, 0u);
}

TEST(JitChain, CarriesTheMarkToTheNextProgramAndNotToTheNextPacket) {
  const int16_t cb = offsetof(__sk_buff, cb);
  const auto writer = verified({mov(2, 7), load(BPF_W, 3, 1, cb), alu_reg(BPF_ADD, 2, 3), store(BPF_W, 1, cb, 2),
                                mov(0, -1), exit()});
  const auto reader = verified({load(BPF_W, 0, 1, cb), exit()});
  auto burst = jit::make_burst({{writer, reader}, kLinearLayout});
  ASSERT_TRUE(burst) << burst.error().text;
  Packets packets(2);
  uint32_t verdicts[2];
  RunEnv env;
  ProgramCounters counters[2];
  (*burst)->run(packets.pointers.data(), 2, verdicts, &env, counters);
  EXPECT_EQ(verdicts[0], 7u);
  EXPECT_EQ(verdicts[1], 7u);
}

TEST(JitChain, AnEmptyChainKeepsThePacketWholeAndAnEmptyBurstWritesNothing) {
  auto burst = jit::make_burst({{}, kLinearLayout});
  ASSERT_TRUE(burst) << burst.error().text;
  Packets packets(1);
  uint32_t verdict = 9;
  RunEnv env;
  (*burst)->run(packets.pointers.data(), 0, &verdict, &env, nullptr);
  EXPECT_EQ(verdict, 9u);
  (*burst)->run(packets.pointers.data(), 1, &verdict, &env, nullptr);
  EXPECT_EQ(verdict, 60u);
}

TEST(JitCode, AnArrayLookupIsInlinedAndTheFrameDissolves) {
  const auto maps = array_of_256();
  auto code = jit::compile({{verified(protocol_count(), maps)}, kLinearLayout}, {.keep_ir = true});
  ASSERT_TRUE(code) << code.error().text;
  EXPECT_EQ(code->ir.find(" call "), std::string::npos) << code->ir;
  EXPECT_EQ(code->ir.find("alloca"), std::string::npos) << code->ir;
  EXPECT_NE(code->ir.find("atomicrmw add"), std::string::npos) << code->ir;
}

TEST(JitCode, AHashLookupIsInlined) {
  const Maps maps{*Map::create({"flows", BPF_MAP_TYPE_HASH, 4, 8, 1024})};
  auto code = jit::compile({{verified(protocol_count(), maps)}, kLinearLayout}, {.keep_ir = true});
  ASSERT_TRUE(code) << code.error().text;
  EXPECT_EQ(code->ir.find("call i64"), std::string::npos) << code->ir;
  EXPECT_EQ(code->ir.find("call ptr"), std::string::npos) << code->ir;
}

TEST(JitCode, CountsWhatPassesInTheMap) {
  const auto maps = array_of_256();
  auto engine = compiled(*verified(protocol_count(), maps), maps);
  ASSERT_NE(engine.burst, nullptr);
  Packets packets(1);
  for (int i = 0; i < 5; i++) EXPECT_EQ(engine.run(packets.linear[0]), 60u);
  const uint32_t tcp = 6;
  uint64_t count = 0;
  ASSERT_EQ(maps[0]->lookup(&tcp, &count), 0);
  EXPECT_EQ(count, 5u);
}

TEST(JitCode, IsAFunctionOfTheChainAlone) {
  const auto maps = array_of_256();
  const ChainSpec spec{{verified(protocol_count(), maps)}, kLinearLayout};
  auto first = jit::compile(spec);
  auto second = jit::compile(spec);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->elf, second->elf);
}

TEST(JitMemory, NoPageIsWritableAndExecutable) {
  auto burst = jit::make_burst({{verified({mov(0, -1), exit()})}, kLinearLayout});
  ASSERT_TRUE(burst) << burst.error().text;
  std::ifstream maps("/proc/self/maps");
  size_t executable = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("xp ") != std::string::npos) executable++;
    EXPECT_EQ(line.find(" rwx"), std::string::npos) << line;
  }
  EXPECT_GT(executable, 0u);
}

TEST(JitMemory, ChainsCompileOnSeveralThreadsAtOnce) {
  const auto program = verified({load(BPF_W, 0, 1, 0), exit()});
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 3; i++) {
    threads.emplace_back([&] {
      for (int round = 0; round < 5; round++) {
        auto burst = jit::make_burst({{program}, kLinearLayout});
        if (!burst) continue;
        Packets packets(1);
        uint32_t verdict = 0;
        RunEnv env;
        ProgramCounters counters;
        (*burst)->run(packets.pointers.data(), 1, &verdict, &env, &counters);
        right += verdict == 60;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right.load(), 15);
}

}  // namespace
}  // namespace sluice::bpf
