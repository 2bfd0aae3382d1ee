// Which maps a program only adds to: what counts, and each way to a value that does not.
#include <gtest/gtest.h>

#include <algorithm>

#include "bpf/verifier/verifier.hpp"
#include "tests/unit/jit/insn_build.hpp"
#include "tests/unit/jit/static_functions.hpp"

namespace sluice::bpf {
namespace {

using namespace build;
using Fields = std::vector<AddedField>;

constexpr uint32_t kValueSize = 32;

std::shared_ptr<Map> array(uint32_t entries = 4) {
  return *Map::create({"counts", BPF_MAP_TYPE_ARRAY, 4, kValueSize, entries});
}

// r0 is the value of key 0 of a map, r6 the context, r7 is 1. What `use` does with it ends at the
// exit.
Code with_value(const Code& use, uint32_t map = 0) {
  Code code{mov_reg(6, 1), mov(7, 1), store_imm(BPF_W, 10, -4, 0)};
  code << map_fd(1, map) << mov_reg(2, 10) << alu(BPF_ADD, 2, -4) << call(BPF_FUNC_map_lookup_elem)
       << jump(BPF_JEQ, 0, 0, static_cast<int16_t>(use.size()));
  return code << use << mov(0, 0) << exit();
}

VerifierResult verified(const Code& code, std::vector<std::shared_ptr<Map>> maps,
                        uint32_t type = BPF_PROG_TYPE_SCHED_CLS) {
  VerifierInput input;
  input.type = type;
  input.gpl_compatible = true;
  input.insns = code;
  input.maps = std::move(maps);
  const StaticFunctions functions = static_functions_of(code);
  input.btf = functions.btf;
  input.func_info = functions.func_info;
  return verify(input);
}

AddedFields added(const Code& code, std::vector<std::shared_ptr<Map>> maps = {array(), array()},
                  size_t map = 0) {
  const auto result = verified(code, std::move(maps));
  EXPECT_NE(result.program, nullptr)
      << "insn " << result.report.insn << ": " << result.report.reason;
  return result.program == nullptr ? AddedFields{} : result.program->added.at(map);
}

Insn add_at(int16_t offset, int size = BPF_DW) { return atomic(size, BPF_ADD, 0, offset, 7); }

TEST(Added, AtomicAddsOfWholeFieldsAreListedInOrder) {
  EXPECT_EQ(
      added(with_value({add_at(8), add_at(0), add_at(8), add_at(20, BPF_W), add_at(16, BPF_W)})),
      (Fields{{0, 8}, {8, 8}, {16, 4}, {20, 4}}));
}

TEST(Added, AMapThatIsOnlyLookedUpHasNoFields) {
  EXPECT_EQ(added(with_value({})), Fields{});
  EXPECT_EQ(added(with_value({add_at(0)}), {array(), array()}, 1), Fields{})
      << "one that is not used at all";
}

TEST(Added, ADirectAddressCountsLikeALookup) {
  Code code{mov(7, 1)};
  code << map_value(1, 0, 16) << atomic(BPF_DW, BPF_ADD, 1, 8, 7) << mov(0, 0) << exit();
  EXPECT_EQ(added(code, {array(1)}), (Fields{{24, 8}}));
  Code reads;
  reads << map_value(1, 0, 16) << load(BPF_DW, 0, 1, 0) << exit();
  EXPECT_EQ(added(reads, {array(1)}), std::nullopt);
}

TEST(Added, AnAddedConstantMovesTheField) {
  EXPECT_EQ(added(with_value({alu(BPF_ADD, 0, 8), add_at(8)})), (Fields{{16, 8}}));
  EXPECT_EQ(added(with_value({mov(1, 24), alu_reg(BPF_ADD, 0, 1), add_at(-8)})), (Fields{{16, 8}}));
}

TEST(Added, APointerThatWasSpilledIsStillOne) {
  const Code use{store(BPF_DW, 10, -16, 0), mov(0, 0), load(BPF_DW, 0, 10, -16), add_at(8)};
  EXPECT_EQ(added(with_value(use)), (Fields{{8, 8}}));
}

TEST(Added, AddingInAStaticSubprogramIsAdding) {
  Code code = with_value({mov_reg(1, 0), call_local(0)});
  const auto callee = static_cast<int32_t>(code.size());
  const auto calls = std::ranges::find_if(code, is_local_call);
  calls->imm = callee - static_cast<int32_t>(calls - code.begin()) - 1;
  code << mov(2, 1) << atomic(BPF_DW, BPF_ADD, 1, 0, 2) << mov(0, 0) << exit();
  EXPECT_EQ(added(code), (Fields{{0, 8}}));
}

TEST(Added, AHashMapsAddsAreListedToo) {
  EXPECT_EQ(added(with_value({add_at(0)}),
                  {*Map::create({"flows", BPF_MAP_TYPE_HASH, 4, kValueSize, 4})}),
            (Fields{{0, 8}}));
}

struct Other {
  const char* name;
  Code use;  // of the value of map 0
};
void PrintTo(const Other& row, std::ostream* out) { *out << row.name; }

const Other kOthers[] = {
    {"Load", {load(BPF_DW, 1, 0, 0)}},
    {"LoadOfAnotherField", {add_at(0), load(BPF_B, 1, 0, 31)}},
    {"LoadAfterwards", {add_at(0), load(BPF_DW, 1, 0, 0)}},
    {"SignedLoad", {load_signed(BPF_W, 1, 0, 0)}},
    {"LoadAcquire", {atomic(BPF_DW, kLoadAcquire, 1, 0, 0)}},
    {"Store", {store(BPF_DW, 0, 0, 7)}},
    {"StoreOfAnImmediate", {store_imm(BPF_B, 0, 3, 1)}},
    {"StoreRelease", {atomic(BPF_DW, kStoreRelease, 0, 0, 7)}},
    {"FetchAdd", {atomic(BPF_DW, BPF_ADD | BPF_FETCH, 0, 0, 7)}},
    {"Or", {atomic(BPF_DW, BPF_OR, 0, 0, 7)}},
    {"And", {atomic(BPF_DW, BPF_AND, 0, 0, 7)}},
    {"Xor", {atomic(BPF_DW, BPF_XOR, 0, 0, 7)}},
    {"Exchange", {atomic(BPF_DW, BPF_XCHG, 0, 0, 7)}},
    {"CompareExchange", {mov_reg(1, 0), mov(0, 0), atomic(BPF_DW, BPF_CMPXCHG, 1, 0, 7)}},
    {"OverlapFromBelow", {add_at(0), add_at(4, BPF_W)}},
    {"OverlapFromAbove", {add_at(4, BPF_W), add_at(0)}},
    {"AnotherWidthAtThePlace", {add_at(0, BPF_W), add_at(0)}},
    {"VariableOffset",
     {load(BPF_W, 1, 6, 0), alu(BPF_AND, 1, 8), alu_reg(BPF_ADD, 0, 1), add_at(0)}},
    {"ValueAsAHelpersMemory",
     Code{mov_reg(1, 0), mov(2, 8), mov(3, 0), mov(4, 0), mov(5, 0), call(BPF_FUNC_csum_diff)}},
    {"ValueFilledByAHelper",
     Code{mov_reg(3, 0), mov_reg(1, 6), mov(2, 0), mov(4, 8), call(BPF_FUNC_skb_load_bytes)}},
    {"ValueAsTheKeyOfAnotherMap",
     Code{mov_reg(2, 0)} << map_fd(1, 1) << call(BPF_FUNC_map_lookup_elem)},
    {"ValueAsTheKeyOfItsOwnMap",
     Code{mov_reg(2, 0)} << map_fd(1, 0) << call(BPF_FUNC_map_lookup_elem)},
    {"ValueIntoAnotherMap", Code{mov_reg(3, 0), mov_reg(2, 10), alu(BPF_ADD, 2, -4), mov(4, 0)}
                                << map_fd(1, 1) << call(BPF_FUNC_map_update_elem)},
    {"ValuePrinted", Code{store_imm(BPF_DW, 10, -16, 0x7025), mov_reg(3, 0), mov_reg(1, 10),
                          alu(BPF_ADD, 1, -16), mov(2, 4), call(BPF_FUNC_trace_printk)}},
    {"ValuesAddressIntoAMap", Code{mov_reg(8, 0), mov_reg(2, 10), alu(BPF_ADD, 2, -4)}
                                  << map_fd(1, 1) << call(BPF_FUNC_map_lookup_elem)
                                  << jump(BPF_JEQ, 0, 0, 1) << store(BPF_DW, 0, 0, 8)},
    {"ValuesAddressAddedToAMap", Code{mov_reg(8, 0), mov_reg(2, 10), alu(BPF_ADD, 2, -4)}
                                     << map_fd(1, 1) << call(BPF_FUNC_map_lookup_elem)
                                     << jump(BPF_JEQ, 0, 0, 1) << atomic(BPF_DW, BPF_ADD, 0, 0, 8)},
    {"ValuesAddressInGivenStack",
     Code{store(BPF_DW, 10, -16, 0)}
         << Code{mov_reg(1, 10), alu(BPF_ADD, 1, -16), mov(2, 8), mov(3, 0), mov(4, 0), mov(5, 0),
                 call(BPF_FUNC_csum_diff)}},
    {"ValuesAddressNegated", {mov_reg(1, 0), alu(BPF_NEG, 1, 0)}},
    {"ValuesAddressSwapped", {mov_reg(1, 0), swap(1, 64)}},
    {"ValuesAddressCutShort", {alu32_reg(BPF_MOV, 1, 0)}},
    {"ValuesAddressCutShortWithItsSign", {alu_reg(BPF_MOV, 1, 0, 32)}},
    {"ValuesAddressWithout", {mov_reg(1, 0), mov_reg(2, 10), alu_reg(BPF_SUB, 1, 2)}},
    {"WithoutValuesAddress", {mov_reg(1, 0), mov_reg(2, 10), alu_reg(BPF_SUB, 2, 1)}},
    {"ValuesAddressIn32Bits", {mov_reg(1, 0), alu32(BPF_SUB, 1, 4)}},
    {"ValuesAddressFromAnyOfTheStack",
     {store(BPF_DW, 10, -16, 0), store(BPF_DW, 10, -24, 7), load(BPF_W, 1, 6, 0),
      alu(BPF_AND, 1, 8), mov_reg(2, 10), alu_reg(BPF_ADD, 2, 1), load(BPF_DW, 3, 2, -24)}},
    {"ValuesAddressUnderAPartialStore",
     {store(BPF_DW, 10, -16, 0), store_imm(BPF_B, 10, -9, 0), load(BPF_W, 1, 10, -16)}},
    {"ValuesAddressUnderAPartialStoreFromBelow",
     {store(BPF_DW, 10, -16, 0), store_imm(BPF_B, 10, -16, 0), load(BPF_W, 1, 10, -12)}},
    {"ValuesAddressAddedToOnTheStack",
     {store(BPF_DW, 10, -16, 0), atomic(BPF_DW, BPF_ADD, 10, -16, 7), load(BPF_DW, 1, 10, -16)}},
    {"ValuesAddressUnderAStoreThatMayMiss",
     {store(BPF_DW, 10, -16, 0), store(BPF_DW, 10, -24, 7), load(BPF_W, 1, 6, 0),
      alu(BPF_AND, 1, 8), mov_reg(2, 10), alu_reg(BPF_ADD, 2, 1), store_imm(BPF_B, 2, -24, 0),
      load(BPF_DW, 1, 10, -16)}},
    {"MapUpdated", Code{mov_reg(2, 10), alu(BPF_ADD, 2, -4), mov_reg(3, 10), alu(BPF_ADD, 3, -48),
                        store_imm(BPF_DW, 10, -48, 0), store_imm(BPF_DW, 10, -40, 0),
                        store_imm(BPF_DW, 10, -32, 0), store_imm(BPF_DW, 10, -24, 0), mov(4, 0)}
                       << map_fd(1, 0) << call(BPF_FUNC_map_update_elem)},
    {"MapDeletedFrom",
     Code{mov_reg(2, 10), alu(BPF_ADD, 2, -4)} << map_fd(1, 0) << call(BPF_FUNC_map_delete_elem)},
};

class NotOnlyAdded : public testing::TestWithParam<Other> {};
INSTANTIATE_TEST_SUITE_P(Uses, NotOnlyAdded, testing::ValuesIn(kOthers),
                         [](const auto& row) { return row.param.name; });

TEST_P(NotOnlyAdded, ThisIsAnotherUse) {
  EXPECT_EQ(added(with_value(GetParam().use)), std::nullopt);
}

// Where the path that came first found nothing on the stack, a later one is covered with an address
// there, which is then read as a number.
TEST(Added, AnAddressWherePathsMeetMayBeReadAsANumber) {
  Code use{load(BPF_W, 1, 6, 0), jump(BPF_JGT, 1, 100, 10), jump(BPF_JEQ, 1, 1, 0),
           jump(BPF_JEQ, 1, 2, 0)};
  for (int i = 0; i < 7; i++) use << mov(2, 0);  // enough for the state to be remembered below
  use << go(1) << store(BPF_DW, 10, -16, 0) << load(BPF_DW, 3, 10, -16);
  EXPECT_EQ(added(with_value(use)), std::nullopt);
}

// The others of the program do not suffer.
TEST(Added, AnotherMapsUseDoesNotCount) {
  Code code = with_value({load(BPF_DW, 1, 0, 0)});
  code.resize(code.size() - 2);
  code << map_fd(1, 1) << mov_reg(2, 10) << alu(BPF_ADD, 2, -4) << call(BPF_FUNC_map_lookup_elem)
       << jump(BPF_JEQ, 0, 0, 1) << add_at(0) << mov(0, 0) << exit();
  EXPECT_EQ(added(code, {array(), array()}, 0), std::nullopt);
  EXPECT_EQ(added(code, {array(), array()}, 1), (Fields{{0, 8}}));
}

TEST(Added, OnePathThatReadsIsEnough) {
  const Code use{load(BPF_W, 1, 6, 0), jump(BPF_JGT, 1, 100, 2), add_at(0), go(1),
                 load(BPF_DW, 2, 0, 0)};
  EXPECT_EQ(added(with_value(use)), std::nullopt);
}

TEST(Added, ForEachGivesTheValuesAway) {
  Code code{mov(7, 1)};
  code << map_fd(1, 0) << imm64(2, 0, BPF_PSEUDO_FUNC) << mov(3, 0) << mov(4, 0)
       << call(BPF_FUNC_for_each_map_elem) << mov(0, 0) << exit();
  code[3].imm = static_cast<int32_t>(code.size()) - 3 - 1;
  code << mov(1, 1) << atomic(BPF_DW, BPF_ADD, 3, 0, 1) << mov(0, 0) << exit();
  EXPECT_EQ(added(code), std::nullopt);
}

// An add that reaches both is right as it stands, in either map; neither is read.
TEST(Added, OneInstructionMayAddToTwoMaps) {
  Code code{mov_reg(6, 1), mov(7, 1), store_imm(BPF_W, 10, -4, 0), load(BPF_W, 8, 6, 0)};
  code << map_fd(1, 0) << jump(BPF_JGT, 8, 100, 2) << map_fd(1, 1) << mov_reg(2, 10)
       << alu(BPF_ADD, 2, -4) << call(BPF_FUNC_map_lookup_elem) << jump(BPF_JEQ, 0, 0, 1)
       << add_at(0) << mov(0, 0) << exit();
  const auto result = verified(code, {array(), array()});
  ASSERT_NE(result.program, nullptr) << result.report.reason;
  EXPECT_EQ(result.program->added[0], (Fields{{0, 8}}));
  EXPECT_EQ(result.program->added[1], (Fields{{0, 8}}));
  for (const InsnFact& fact : result.program->facts) {
    EXPECT_TRUE(fact.region != Region::map_value || fact.map_index == -1);
  }
}

// The template is among the program's maps; what the outer map holds is another that looks like it.
TEST(Added, AnInnerMapIsNotItsTemplate) {
  const auto inner = array();
  MapSpec outer{"outer", BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 2};
  outer.inner = inner;
  Code use{mov_reg(1, 0),          mov_reg(2, 10),
           alu(BPF_ADD, 2, -4),    call(BPF_FUNC_map_lookup_elem),
           jump(BPF_JEQ, 0, 0, 1), load(BPF_DW, 1, 0, 0)};
  Code code = with_value(use, 1);
  code.resize(code.size() - 2);
  code << map_fd(1, 0) << mov_reg(2, 10) << alu(BPF_ADD, 2, -4) << call(BPF_FUNC_map_lookup_elem)
       << jump(BPF_JEQ, 0, 0, 1) << add_at(8) << mov(0, 0) << exit();
  const auto result = verified(code, {inner, *Map::create(outer)});
  ASSERT_NE(result.program, nullptr) << result.report.reason;
  EXPECT_EQ(result.program->added[0], (Fields{{8, 8}}));
}

TEST(Added, MoreFieldsThanAreKeptAreAnotherUse) {
  const auto large = *Map::create({"counts", BPF_MAP_TYPE_ARRAY, 4, 8 * (kMaxAddedFields + 1), 1});
  Code use;
  for (uint32_t i = 0; i < kMaxAddedFields; i++) use << add_at(static_cast<int16_t>(8 * i));
  const auto fields = added(with_value(use), {large});
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->size(), size_t{kMaxAddedFields});
  EXPECT_EQ(added(with_value(use << add_at(8 * kMaxAddedFields)), {large}), std::nullopt);
}

}  // namespace
}  // namespace sluice::bpf
