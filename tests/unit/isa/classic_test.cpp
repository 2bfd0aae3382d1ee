// The classic converter against its definition: what it refuses, and the shape of what it makes.
// That the result behaves as libpcap's own interpreter is tested in tests/unit/surface
// (expressions) and tests/smoke/parity.sh (captures).
#include "bpf/isa/classic.hpp"

#include <gtest/gtest.h>

#include "bpf/isa/opcode.hpp"

namespace sluice::bpf {
namespace {

Result<std::vector<Insn>> convert(std::vector<ClassicInsn> program) {
  return convert_classic(program);
}

constexpr ClassicInsn kReturnAll{BPF_RET | BPF_K, 0, 0, 262144};

TEST(Classic, AnEmptyProgramIsRefused) { EXPECT_FALSE(convert({})); }

TEST(Classic, AProgramThatDoesNotEndWithAReturnIsRefused) {
  EXPECT_FALSE(convert({{BPF_LD | BPF_ABS | BPF_B, 0, 0, 23}}));
}

TEST(Classic, AJumpBehindTheEndIsRefused) {
  EXPECT_FALSE(convert({{BPF_JMP | BPF_JEQ | BPF_K, 5, 0, 6}, kReturnAll}));
  EXPECT_FALSE(convert({{BPF_JMP | BPF_JA, 0, 0, 0xffffffff}, kReturnAll}));
}

TEST(Classic, AJumpBackIsRefusedWithTheReason) {
  const auto program =
      convert({kReturnAll, {BPF_JMP | BPF_JA, 0, 0, static_cast<uint32_t>(-2)}, kReturnAll});
  ASSERT_FALSE(program);
  EXPECT_NE(program.error().text.find("instruction 1: jumps back"), std::string::npos)
      << program.error().text;
}

TEST(Classic, DivisionByAConstantZeroIsRefused) {
  EXPECT_FALSE(convert({{BPF_ALU | BPF_DIV | BPF_K, 0, 0, 0}, kReturnAll}));
}

TEST(Classic, AScratchWordOutOfRangeIsRefused) {
  EXPECT_FALSE(convert({{BPF_ST, 0, 0, 16}, kReturnAll}));
  EXPECT_TRUE(convert({{BPF_ST, 0, 0, 15}, kReturnAll}));
}

TEST(Classic, EveryInstructionMadeIsWellFormed) {
  const auto program = convert({{BPF_LD | BPF_ABS | BPF_H, 0, 0, 12},
                                {BPF_JMP | BPF_JEQ | BPF_K, 0, 6, 0x800},
                                {BPF_LDX | BPF_MSH | BPF_B, 0, 0, 14},
                                {BPF_LD | BPF_IND | BPF_H, 0, 0, 16},
                                {BPF_ALU | BPF_LSH | BPF_X, 0, 0, 0},
                                {BPF_ALU | BPF_MOD | BPF_X, 0, 0, 0},
                                {BPF_JMP | BPF_JGT | BPF_X, 1, 0, 0},
                                kReturnAll,
                                {BPF_RET | BPF_K, 0, 0, 0}});
  ASSERT_TRUE(program) << program.error().text;
  for (uint32_t i = 0; i < program->size(); i++) EXPECT_FALSE(insn_fault(*program, i)) << i;
}

TEST(Classic, AnOffsetThatLdAbsWouldTakeForNegativeFailsThePacket) {
  const auto program = convert({{BPF_LD | BPF_ABS | BPF_B, 0, 0, 0xfffff000}, kReturnAll});
  ASSERT_TRUE(program);
  for (const auto& insn : *program) EXPECT_FALSE(is_packet_load(insn));
}

TEST(Classic, WhatNothingReachesIsLeftOutAndStillChecked) {
  const auto program = convert({{BPF_LD | BPF_ABS | BPF_B, 0, 0, 0xffffffff},
                                {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 1},
                                kReturnAll,
                                {BPF_RET | BPF_K, 0, 0, 0}});
  ASSERT_TRUE(program) << program.error().text;
  int exits = 0;
  for (const auto& insn : *program) exits += insn.code == (BPF_JMP | BPF_EXIT) ? 1 : 0;
  EXPECT_EQ(exits, 1);
  EXPECT_FALSE(convert({kReturnAll, {BPF_ALU | BPF_DIV | BPF_K, 0, 0, 0}, kReturnAll}));
}

}  // namespace
}  // namespace sluice::bpf
