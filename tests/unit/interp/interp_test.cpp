// What the instruction table (tests/unit/jit/insn_cases.hpp, run by both engines) does not reach:
// frames of local calls, the chain, and packet ends. Programs are annotated by hand, as the
// verifier would.
#include "bpf/interp/interp.hpp"

#include <gtest/gtest.h>

namespace sluice::bpf {
namespace {

constexpr Insn mov(uint8_t dst, int32_t imm) {
  return {BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm};
}
constexpr Insn kExit{BPF_JMP | BPF_EXIT, 0, 0, 0, 0};

std::shared_ptr<AnnotatedProgram> annotate(std::vector<Insn> insns) {
  auto program = std::make_shared<AnnotatedProgram>();
  program->insns = std::move(insns);
  program->facts.resize(program->insns.size());
  program->subprograms.push_back({0, static_cast<uint32_t>(program->insns.size()), 0});
  return program;
}

struct Interp : testing::Test {
  Interp() {
    packet.buffer = bytes;
    packet.captured = packet.wire_length = sizeof bytes;
    load_context(&ctx, kLinearLayout, &packet, &env);
  }
  uint8_t bytes[60] = {};
  RunEnv env;
  LinearPacket packet;
  PacketContext ctx;
};

TEST_F(Interp, ALocalCallKeepsR6ToR9AndGivesTheCalleeItsOwnZeroedStack) {
  const auto program = annotate({
      mov(6, 40),
      {BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 1},  // caller's slot
      {BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 4},
      {BPF_ALU64 | BPF_ADD | BPF_X, 0, 6, 0, 0},
      {BPF_LDX | BPF_MEM | BPF_DW, 1, 10, -8, 0},
      {BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 0},
      kExit,
      // callee: returns its own slot (0) and overwrites R6 and that slot
      {BPF_LDX | BPF_MEM | BPF_DW, 0, 10, -8, 0},
      mov(6, 7),
      {BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 99},
      kExit,
  });
  EXPECT_EQ(interpret(*program, &ctx), 41u);
}

TEST_F(Interp, APacketLoadOutOfRangeEndsTheProgramWith0) {
  const auto program = annotate({{BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0},
                                 {BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, 57},
                                 mov(0, 5),
                                 kExit});
  EXPECT_EQ(interpret(*program, &ctx), 0u);
}

TEST_F(Interp, AChainKeepsTheShortestVerdictAndStopsAtTheFirstZero) {
  const auto keep = annotate({mov(0, 40), kExit});
  const auto all = annotate({mov(0, -1), kExit});
  const auto drop = annotate({mov(0, 0), kExit});
  void* packets[2] = {&packet, &packet};
  uint32_t verdicts[2];
  ProgramCounters counters[3];

  make_interpreted_burst({{all, keep, all}, kLinearLayout})
      ->run(packets, 2, verdicts, &env, counters);
  EXPECT_EQ(verdicts[0], 40u);
  EXPECT_EQ(verdicts[1], 40u);
  EXPECT_EQ(counters[0].trimmed, 0u);
  EXPECT_EQ(counters[1].trimmed, 2u);
  EXPECT_EQ(counters[2].run, 2u);

  make_interpreted_burst({{drop, all}, kLinearLayout})->run(packets, 1, verdicts, &env, counters);
  EXPECT_EQ(verdicts[0], 0u);
  EXPECT_EQ(counters[1].run, 2u);  // as before: the second program did not see the packet
}

TEST_F(Interp, AnEmptyChainKeepsThePacketWhole) {
  void* packets[1] = {&packet};
  uint32_t verdict = 0;
  make_interpreted_burst({{}, kLinearLayout})->run(packets, 1, &verdict, &env, nullptr);
  EXPECT_EQ(verdict, 60u);
}

}  // namespace
}  // namespace sluice::bpf
