// What the JIT does against whoever loaded the program, seen in the machine code and the optimised
// IR.
#include <gtest/gtest.h>

#include "bpf/jit/jit.hpp"
#include "bpf/maps/masked_index.hpp"
#include "tests/unit/jit/engines.hpp"
#include "tests/unit/jit/insn_build.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

constexpr int32_t kNumber = 0x1a2b3c4d;
constexpr char kNumbersBytes[] = "\x4d\x3c\x2b\x1a";

struct WithNumber {
  const char* name;
  std::vector<Insn> code;
};

// The number as every kind of immediate, with something unknown beside it so that it is not folded
// away.
std::vector<WithNumber> programs_with_the_number() {
  const auto on_length = [](std::vector<Insn> middle) {
    Code code{load(BPF_W, 0, 1, 0)};
    return code << middle << exit();
  };
  Code wide;
  wide << imm64(0, kNumber) << exit();
  return {{"move", Code{mov(0, kNumber), exit()}},
          {"add", on_length({alu(BPF_ADD, 0, kNumber)})},
          {"xor32", on_length({alu32(BPF_XOR, 0, kNumber)})},
          {"multiply", on_length({alu(BPF_MUL, 0, kNumber)})},
          {"compare", on_length({jump(BPF_JEQ, 0, kNumber, 1), mov(0, 5)})},
          {"imm64", wide},
          {"store", Code{store_imm(BPF_W, 10, -4, kNumber), load(BPF_W, 0, 10, -4), exit()}}};
}

std::string machine_code(const std::vector<Insn>& code, Hardening hardening) {
  const auto verified = verify_insns(code, {}, BPF_PROG_TYPE_SOCKET_FILTER, hardening);
  EXPECT_NE(verified.program, nullptr) << verified.report.reason;
  auto program = jit::make_program(verified.program);
  EXPECT_TRUE(program) << program.error().text;
  return std::string((*program)->machine_code());
}

TEST(Blinding, NoImmediateAppearsInTheMachineCode) {
  const std::string number(kNumbersBytes, 4);
  for (const auto& [name, code] : programs_with_the_number()) {
    EXPECT_NE(machine_code(code, {}).find(number), std::string::npos) << name;
    EXPECT_EQ(machine_code(code, {.blinding_seed = 9}).find(number), std::string::npos) << name;
  }
}

TEST(Blinding, AnotherSeedGivesOtherMachineCodeAndTheSameSeedTheSame) {
  const Code code{mov(0, kNumber), exit()};
  EXPECT_EQ(machine_code(code, {.blinding_seed = 1}), machine_code(code, {.blinding_seed = 1}));
  EXPECT_NE(machine_code(code, {.blinding_seed = 1}), machine_code(code, {.blinding_seed = 2}));
}

// Looks up what byte 23 of the packet says, after comparing it with the array's length itself if
// `proved`.
std::vector<Insn> lookup_by_byte(bool proved) {
  Code code{mov_reg(6, 1), load_abs(BPF_B, 23), store(BPF_W, 10, -4, 0)};
  if (proved) code << alu(BPF_AND, 0, 15) << store(BPF_W, 10, -4, 0);
  code << map_fd(1, 0) << mov_reg(2, 10) << alu(BPF_ADD, 2, -4) << call(BPF_FUNC_map_lookup_elem);
  code << jump(BPF_JEQ, 0, 0, 1) << load(BPF_DW, 0, 0, 0) << exit();
  return code;
}

std::string ir_of_lookup(uint32_t type, bool proved, bool masked) {
  const Maps maps{*Map::create({"values", type, 4, 8, 16})};
  const auto verified = verify_insns(lookup_by_byte(proved), maps, BPF_PROG_TYPE_SOCKET_FILTER,
                                     {.mask_indices = masked});
  EXPECT_NE(verified.program, nullptr) << verified.report.reason;
  auto code = jit::compile(jit::make_program_image(*verified.program), {.keep_ir = true});
  EXPECT_TRUE(code) << code.error().text;
  return code->ir;
}

// The mask is a comparison that the optimiser cannot decide, since it does not see where its
// operand comes from.
TEST(MaskedIndices, ALookupsIndexIsMaskedWhereAskedForAndElseNot) {
  for (const uint32_t type : {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY}) {
    for (const bool proved : {false, true}) {
      EXPECT_NE(ir_of_lookup(type, proved, true).find(" asm "), std::string::npos)
          << type << proved;
      EXPECT_EQ(ir_of_lookup(type, proved, false).find(" asm "), std::string::npos)
          << type << proved;
    }
  }
}

TEST(MaskedIndices, TheMaskLeavesAnIndexInRangeAndMakesAnotherZero) {
  for (const uint32_t index : {0u, 1u, 15u}) EXPECT_EQ(masked_index(index, 16), index);
  for (const uint32_t index : {16u, 17u, 0x80000000u, UINT32_MAX})
    EXPECT_EQ(masked_index(index, 16), 0u);
  EXPECT_EQ(masked_index(5, 0), 0u);
}

}  // namespace
}  // namespace sluice::bpf
