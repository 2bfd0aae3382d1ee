// Chains, code quality and memory of the JIT. Semantics are in insn_test.cpp and tests/fuzz.
#include "bpf/jit/jit.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "bpf/helpers/trace.hpp"
#include "tests/unit/jit/engines.hpp"
#include "tests/unit/jit/programs.hpp"

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
  code << jump(BPF_JEQ, 0, 0, 2) << mov(1, 1) << atomic(BPF_DW, BPF_ADD, 0, 0, 1) << mov(0, -1)
       << exit();
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
  const auto long_only =
      verified({load(BPF_W, 0, 1, 0), jump(BPF_JGE, 0, 62, 1), mov(0, 0), exit()});
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
  const auto writer = verified({mov(2, 7), load(BPF_W, 3, 1, cb), alu_reg(BPF_ADD, 2, 3),
                                store(BPF_W, 1, cb, 2), mov(0, -1), exit()});
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

size_t occurrences(const std::string& text, std::string_view of) {
  size_t count = 0;
  for (size_t at = text.find(of); at != std::string::npos; at = text.find(of, at + of.size()))
    count++;
  return count;
}

// An address pair and the protocol lie before the end of the last word: the reach is compared once
// for the type and once for the rest.
TEST(JitCode, LoadsWithinAnEarlierReachAreNotCheckedAgain) {
  Code code{mov_reg(6, 1), load_abs(BPF_H, 12), jump(BPF_JNE, 0, 0x800, 8), load_abs(BPF_W, 30),
            mov_reg(7, 0)};
  code << load_abs(BPF_W, 26) << alu_reg(BPF_XOR, 7, 0) << load_abs(BPF_B, 23)
       << alu_reg(BPF_ADD, 7, 0) << mov_reg(0, 7);
  code << exit() << mov(0, 0) << exit();
  auto compiled = jit::compile(ChainSpec{{verified(code)}, kLinearLayout}, {.keep_ir = true});
  ASSERT_TRUE(compiled) << compiled.error().text;
  EXPECT_EQ(occurrences(compiled->ir, "icmp ugt i32"), 2u) << compiled->ir;
}

// What is checked is what is used: LLVM may neither split nor repeat a read that another worker's
// write can fall between.
TEST(JitCode, MapValuesAreReadAndWrittenByAtomicsOrVolatileAccesses) {
  for (const bool aligned : {true, false}) {
    Code code = map_value(1, 0);
    code << load(BPF_DW, 0, 1, 0) << store(BPF_W, 1, 8, 0) << exit();
    auto program = annotate(code);
    program->maps = array_of_256();
    for (const uint32_t at : {2u, 3u}) {
      note(*program, at, Region::map_value);
      program->facts[at].aligned = aligned;
    }
    auto compiled = jit::compile(ChainSpec{{program}, kLinearLayout}, {.keep_ir = true});
    ASSERT_TRUE(compiled) << compiled.error().text;
    const std::string& ir = compiled->ir;
    EXPECT_EQ(occurrences(ir, "load atomic i64") + occurrences(ir, "load volatile i64"), 1u) << ir;
    EXPECT_EQ(occurrences(ir, "load atomic i64"), aligned ? 1u : 0u) << ir;
    EXPECT_EQ(occurrences(ir, "store atomic i32"), aligned ? 1u : 0u) << ir;
    EXPECT_EQ(occurrences(ir, "store volatile i32"), aligned ? 0u : 1u) << ir;
  }
}

// A lookup whose index the verifier has proved is an address alone.
TEST(JitCode, AnArrayLookupInRangeHasNoCheck) {
  Code code{store_imm(BPF_W, 10, -4, 7)};
  code << map_fd(1, 0) << mov_reg(2, 10) << alu(BPF_ADD, 2, -4) << call(BPF_FUNC_map_lookup_elem)
       << mov(1, 1);
  code << atomic(BPF_DW, BPF_ADD, 0, 0, 1) << mov(0, 1) << exit();
  auto program = annotate(code);
  program->maps = array_of_256();
  note(*program, 0, Region::stack, -4);
  InsnFact& fact = program->facts[5];
  fact.map_index = 0;
  fact.in_range = true;
  fact.argument_stack_offset[1] = -4;
  fact.argument_size[1] = 4;
  note(*program, 7, Region::map_value);
  auto compiled = jit::compile(jit::make_program_image(*program), {.keep_ir = true});
  ASSERT_TRUE(compiled) << compiled.error().text;
  EXPECT_EQ(compiled->ir.find("icmp"), std::string::npos) << compiled->ir;
  const auto results = run_both(program, std::vector<uint8_t>(60));
  EXPECT_EQ(results.interpreted, 1u);
  EXPECT_EQ(results.compiled, 1u);
  const uint32_t key = 7;
  uint64_t count = 0;
  ASSERT_EQ(program->maps[0]->lookup(&key, &count), 0);
  EXPECT_EQ(count, 2u);
}

// A callback that is used once is part of the loop.
TEST(JitCode, ALoopsCallbackIsInlined) {
  Code code{mov(1, 100)};
  code << imm64(2, 1, BPF_PSEUDO_FUNC) << mov(3, 0) << mov(4, 0) << call(BPF_FUNC_loop) << exit();
  const auto start = static_cast<uint32_t>(code.size());
  code << mov_reg(0, 1) << alu(BPF_RSH, 0, 6) << exit();
  const auto program = annotate(code, {0, start});
  auto compiled = jit::compile(jit::make_program_image(*program), {.keep_ir = true});
  ASSERT_TRUE(compiled) << compiled.error().text;
  EXPECT_EQ(compiled->ir.find(" call "), std::string::npos) << compiled->ir;
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

// The values follow the arguments that the helper declares.
TEST(JitHelpers, WhatTracePrintkPrintsIsTheSameOnBothEngines) {
  Code code{store_imm(BPF_W, 10, -8, 0x25206425), store_imm(BPF_W, 10, -4, 0x64)};  // "%d %d"
  code << mov_reg(1, 10) << alu(BPF_ADD, 1, -8) << mov(2, 6) << mov(3, 7) << mov(4, -9)
       << call(BPF_FUNC_trace_printk);
  code << exit();
  const auto program = verified(code);
  for (auto engine : {interpreted, compiled}) {
    Engine made = engine(*program, {});
    TraceSink sink;
    made.env.trace = &sink;
    const std::vector<uint8_t> bytes(60);
    made.run({.buffer = bytes.data(), .captured = 60, .wire_length = 60});
    std::string line;
    ASSERT_TRUE(sink.take(line));
    EXPECT_EQ(line, "7 -9");
  }
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
