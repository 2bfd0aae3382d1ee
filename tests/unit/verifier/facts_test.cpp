// What the verifier hands on, what it costs, and what it says.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "bpf/verifier/verifier.hpp"

namespace sluice::bpf {
namespace {

Insn insn(uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm) {
  Insn out{};
  out.code = code;
  out.dst_reg = dst & 15;
  out.src_reg = src & 15;
  out.off = off;
  out.imm = imm;
  return out;
}
Insn move(uint8_t dst, int32_t imm) { return insn(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm); }
Insn copy(uint8_t dst, uint8_t src) { return insn(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0); }
Insn add(uint8_t dst, int32_t imm) { return insn(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm); }
Insn load(uint8_t size, uint8_t dst, uint8_t src, int16_t off) {
  return insn(BPF_LDX | BPF_MEM | size, dst, src, off, 0);
}
Insn store(uint8_t size, uint8_t dst, uint8_t src, int16_t off) {
  return insn(BPF_STX | BPF_MEM | size, dst, src, off, 0);
}
Insn jump_above(uint8_t dst, int32_t imm, int16_t off) {
  return insn(BPF_JMP | BPF_JGT | BPF_K, dst, 0, off, imm);
}
Insn call(int32_t id) { return insn(BPF_JMP | BPF_CALL, 0, 0, 0, id); }
Insn leave() { return insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

VerifierInput input_of(std::vector<Insn> insns) {
  VerifierInput input;
  input.type = BPF_PROG_TYPE_SOCKET_FILTER;
  input.gpl_compatible = true;
  input.insns = std::move(insns);
  return input;
}

std::shared_ptr<Map> hash_map() { return *Map::create({"flows", BPF_MAP_TYPE_HASH, 4, 8, 16}); }

TEST(Facts, ContextAccessCarriesItsOffset) {
  const auto result = verify(input_of({load(BPF_W, 0, 1, 16), leave()}));
  ASSERT_NE(result.program, nullptr) << result.report.reason;
  EXPECT_EQ(result.program->facts[0].region, Region::ctx);
  EXPECT_EQ(result.program->facts[0].offset, 16);
}

TEST(Facts, StackAccessCarriesOffsetAndDepth) {
  const auto result = verify(input_of({move(0, 1), store(BPF_W, 10, 0, -20), leave()}));
  ASSERT_NE(result.program, nullptr) << result.report.reason;
  EXPECT_EQ(result.program->facts[1].region, Region::stack);
  EXPECT_EQ(result.program->facts[1].offset, -20);
  EXPECT_EQ(result.program->facts[1].frame_up, 0);
  EXPECT_EQ(result.program->subprograms[0].stack_depth, 24u);
}

TEST(Facts, AccessToTheFrameOfTheCallerSaysSo) {
  const auto result =
      verify(input_of({copy(1, 10), add(1, -8), insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1),
                       leave(), move(0, 1), store(BPF_DW, 1, 0, 0), leave()}));
  ASSERT_NE(result.program, nullptr) << result.report.reason;
  EXPECT_EQ(result.program->facts[5].region, Region::stack);
  EXPECT_EQ(result.program->facts[5].frame_up, 1);
  EXPECT_EQ(result.program->facts[5].offset, -8);
  ASSERT_EQ(result.program->subprograms.size(), 2u);
  EXPECT_EQ(result.program->subprograms[0].stack_depth, 8u);
  EXPECT_EQ(result.program->subprograms[1].start, 4u);
  EXPECT_EQ(result.program->subprograms[1].stack_depth, 0u);
}

TEST(Facts, OffsetsThatDifferBetweenPathsAreUnknown) {
  const auto result =
      verify(input_of({load(BPF_W, 2, 1, 0), copy(3, 10), add(3, -8), jump_above(2, 5, 1),
                       add(3, -8), move(0, 1), store(BPF_DW, 3, 0, 0), leave()}));
  ASSERT_NE(result.program, nullptr) << result.report.reason;
  EXPECT_EQ(result.program->facts[6].region, Region::stack);
  EXPECT_EQ(result.program->facts[6].offset, kUnknownOffset);
}

TEST(Facts, RegionsThatDifferBetweenPathsAreMixed) {
  const auto result = verify(input_of({load(BPF_W, 2, 1, 0), copy(3, 1), jump_above(2, 5, 2),
                                       copy(3, 10), add(3, -8), load(BPF_W, 0, 3, 0), leave()}));
  ASSERT_NE(result.program, nullptr) << result.report.reason;
  EXPECT_EQ(result.program->facts[5].region, Region::mixed);
  EXPECT_EQ(result.program->facts[5].offset, kUnknownOffset);
}

TEST(Facts, HelperCallCarriesMapAndArguments) {
  VerifierInput input =
      input_of({move(2, 1), store(BPF_W, 10, 2, -4), copy(2, 10), add(2, -4),
                insn(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 0), insn(0, 0, 0, 0, 0),
                call(BPF_FUNC_map_lookup_elem), insn(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0),
                load(BPF_DW, 0, 0, 0), leave()});
  input.maps.push_back(hash_map());
  const auto result = verify(input);
  ASSERT_NE(result.program, nullptr) << result.report.reason;
  const InsnFact& fact = result.program->facts[6];
  EXPECT_EQ(fact.map_index, 0);
  EXPECT_EQ(fact.argument_stack_offset[1], -4);
  EXPECT_EQ(fact.argument_size[1], 4u);
  EXPECT_EQ(fact.argument_size[0], 0u);
  EXPECT_EQ(result.program->facts[8].region, Region::map_value);
  EXPECT_EQ(result.program->facts[8].map_index, 0);
}

// The template is among the program's maps; what the outer map holds is another that looks like it.
TEST(Facts, AnInnerMapIsNotItsTemplate) {
  const auto inner = hash_map();
  MapSpec outer{"outer", BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 2};
  outer.inner = inner;
  const Insn map_of = insn(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 1);
  VerifierInput input = input_of(
      {insn(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0), copy(2, 10), add(2, -4), map_of, Insn{},
       call(BPF_FUNC_map_lookup_elem), insn(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 4, 0), copy(1, 0),
       copy(2, 10), add(2, -4), call(BPF_FUNC_map_lookup_elem), move(0, 0), leave()});
  input.maps = {inner, *Map::create(outer)};
  const auto result = verify(input);
  ASSERT_NE(result.program, nullptr) << result.report.reason;
  EXPECT_EQ(result.program->facts[5].map_index, 1);
  EXPECT_EQ(result.program->facts[10].map_index, -1)
      << "which one it is, only the packet's time tells";
}

TEST(Facts, CodeThatNoPathReachesIsGone) {
  const auto result = verify(input_of({move(0, 7), jump_above(0, 5, 1), move(0, 1), leave()}));
  ASSERT_NE(result.program, nullptr) << result.report.reason;
  EXPECT_EQ(result.origins, (std::vector<uint32_t>{0, 3}));
  EXPECT_EQ(result.program->facts.size(), 2u);
  EXPECT_EQ(result.program->subprograms[0].end, 2u);
}

TEST(Report, NamesInstructionReasonPathAndSuggestion) {
  const auto result = verify(
      input_of({load(BPF_W, 2, 1, 0), move(0, 0), jump_above(2, 5, 1), copy(0, 4), leave()}));
  ASSERT_EQ(result.program, nullptr);
  EXPECT_EQ(result.report.code, EACCES);
  EXPECT_EQ(result.report.insn, 3u);
  EXPECT_EQ(result.report.reason, "R4 !read_ok");
  ASSERT_EQ(result.report.path.size(), 1u);
  EXPECT_NE(result.report.path[0].find("not taken, r2 is scalar in [0, 5]"), std::string::npos)
      << result.report.path[0];
  EXPECT_FALSE(result.report.suggestion.empty());
}

// bpf_snprintf with a constant format and `count` arguments.
VerifierResult verify_format(const char* format, int32_t count) {
  auto map = *Map::create({"text", BPF_MAP_TYPE_ARRAY, 4, 64, 1, BPF_F_RDONLY_PROG});
  std::strcpy(reinterpret_cast<char*>(const_cast<uint8_t*>(map->core().values)), format);
  auto input = input_of(
      {copy(1, 10), add(1, -128), move(2, 32), insn(0x18, 3, BPF_PSEUDO_MAP_VALUE, 0, 0), Insn{},
       copy(4, 10), add(4, -96), move(5, count * 8), call(BPF_FUNC_snprintf), move(0, 0), leave()});
  input.maps = {map};
  input.frozen = {1};
  return verify(input);
}

// The kernel's verdicts.
TEST(Report, AFormatIsReadBeforeItIsUsed) {
  struct {
    const char* format;
    int32_t count;
    bool good;
  } const rows[] = {
      {"x", 0, true},      {"%d", 1, true},    {"%d", 0, false},    {"x", 1, true},
      {"%d %d", 1, false}, {"%", 1, false},    {"%%", 0, true},     {"%y", 1, false},
      {"%-5d", 1, true},   {"%lld", 1, true},  {"%llld", 1, false}, {"%hd", 1, false},
      {"%pB", 1, true},    {"%pS", 1, true},   {"%pI7", 1, false},  {"%pz", 1, false},
      {"%.3d", 1, false},  {"%x%", 1, false},  {"\x80", 0, true},   {"\x01", 0, false},
      {"%*d", 1, false},   {"%lls", 1, false}, {"% d", 1, true},    {"%n", 1, false},
      {"%5c", 1, true},    {"%o", 1, false},   {"%-", 1, false},    {"%p4", 1, false},
      {"%pks", 1, true}};
  for (const auto& row : rows) {
    const auto result = verify_format(row.format, row.count);
    EXPECT_EQ(result.program != nullptr, row.good) << row.format << " " << result.report.reason;
    EXPECT_EQ(result.report.reason, row.good ? "" : "Invalid format string") << row.format;
    EXPECT_EQ(result.report.code, row.good ? 0 : EINVAL) << row.format;
  }
}

TEST(Report, LogEndsWithTheTotals) {
  VerifierInput input = input_of({move(0, 0), leave()});
  input.log_level = 2;
  const auto result = verify(input);
  EXPECT_NE(result.log.find("0: (b7) r0 = 0"), std::string::npos) << result.log;
  EXPECT_NE(result.log.find("processed 2 insns (limit 1000000) max_states_per_insn"),
            std::string::npos)
      << result.log;
}

TEST(Report, UnknownTypeAndEmptyProgramAreEinval) {
  VerifierInput input = input_of({move(0, 0), leave()});
  input.type = 9999;
  EXPECT_EQ(verify(input).report.code, EINVAL);
  EXPECT_EQ(verify(input_of({})).report.code, EINVAL);
}

TEST(Budget, MillionInstructionsStopTheWalk) {
  EXPECT_EQ(verify(input_of({move(0, 0), add(0, 1), insn(BPF_JMP | BPF_JA, 0, 0, -2, 0), leave()}))
                .program,
            nullptr);
  const VerifierInput counting =
      input_of({move(0, 0), add(0, 1), insn(BPF_JMP | BPF_JNE | BPF_K, 0, 0, -2, -7), leave()});
  EXPECT_EQ(verify(counting).report.code, E2BIG);
}

// Each test doubles the paths: every outcome leaves another sum behind, and the sum becomes part of
// an address, so that no path may stand for another.
TEST(Budget, ExponentialPathsStopAtTheBudget) {
  std::vector<Insn> insns{copy(6, 1), move(7, 0)};
  for (int i = 0; i < 40; i++) {
    insns.push_back(load(BPF_W, 2, 6, 0));
    insns.push_back(jump_above(2, 5, 1));
    insns.push_back(add(7, 1 << (i % 30)));
  }
  insns.push_back(insn(BPF_ALU64 | BPF_AND | BPF_K, 7, 0, 0, 1));
  insns.push_back(copy(1, 10));
  insns.push_back(insn(BPF_ALU64 | BPF_ADD | BPF_X, 1, 7, 0, 0));
  insns.push_back(insn(BPF_ST | BPF_MEM | BPF_B, 1, 0, -8, 0));
  insns.push_back(move(0, 0));
  insns.push_back(leave());
  const VerifierResult result = verify(input_of(insns));
  EXPECT_EQ(result.report.code, E2BIG) << result.report.reason;
}

TEST(Budget, LongCodeWithoutJumpsIsAccepted) {
  std::vector<Insn> insns{copy(6, 1)};
  for (int i = 0; i < 12; i++) {
    insns.push_back(load(BPF_W, 7, 6, 0));
    insns.push_back(jump_above(7, i, 0));
  }
  insns.push_back(insn(BPF_ALU64 | BPF_AND | BPF_K, 7, 0, 0, 7));
  for (int i = 0; i < 100'000; i++) {
    insns.push_back(copy(2, 10));
    insns.push_back(insn(BPF_ALU64 | BPF_ADD | BPF_X, 2, 7, 0, 0));
    insns.push_back(load(BPF_B, 0, 2, -8));
  }
  insns.push_back(leave());
  const auto result = verify(input_of(insns));
  EXPECT_NE(result.program, nullptr) << result.report.reason;
}

}  // namespace
}  // namespace sluice::bpf
