// Looking ahead in a burst for a map that is larger than the cache: only there, and without any
// effect but on the cache.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "bpf/interp/interp.hpp"
#include "bpf/jit/jit.hpp"
#include "tests/unit/jit/engines.hpp"
#include "tests/unit/jit/programs.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

constexpr uint32_t kValueSize = 104;  // 128 bytes an element
constexpr uint32_t kLarge = 1u << 17, kSmall = 1024;
constexpr uint32_t kPackets = 32;

std::shared_ptr<Map> make(uint32_t type, uint32_t value_size, uint32_t entries) {
  auto map = Map::create({"map", type, 4, value_size, entries});
  EXPECT_TRUE(map) << (map ? "" : map.error().text);
  return map ? *map : nullptr;
}

// Counts the packet in map 1, then its first word in map 0: adds one where it is, puts it in where
// not. R0 is the count.
Code count_keys() {
  Code code;
  code << mov_reg(6, 1) << store_imm(BPF_W, 10, -4, 0) << map_fd(1, 1) << mov_reg(2, 10)
       << alu(BPF_ADD, 2, -4);
  code << call(BPF_FUNC_map_lookup_elem) << jump(BPF_JEQ, 0, 0, 2) << mov(1, 1)
       << atomic(BPF_DW, BPF_ADD, 0, 0, 1);
  code << mov_reg(1, 6) << mov(2, 0) << mov_reg(3, 10) << alu(BPF_ADD, 3, -8) << mov(4, 4)
       << call(BPF_FUNC_skb_load_bytes);
  code << jump(BPF_JNE, 0, 0, 23);
  code << map_fd(1, 0) << mov_reg(2, 10) << alu(BPF_ADD, 2, -8) << call(BPF_FUNC_map_lookup_elem);
  code << jump(BPF_JEQ, 0, 0, 5) << load(BPF_DW, 1, 0, 0) << alu(BPF_ADD, 1, 1)
       << store(BPF_DW, 0, 0, 1) << mov_reg(0, 1) << exit();
  code << mov_reg(7, 10) << alu(BPF_ADD, 7, -112) << store_imm(BPF_DW, 10, -112, 1);
  code << map_fd(1, 0) << mov_reg(2, 10) << alu(BPF_ADD, 2, -8) << mov_reg(3, 7) << mov(4, BPF_ANY);
  code << call(BPF_FUNC_map_update_elem) << mov(0, 1) << exit() << mov(0, 0) << exit();
  return code;
}

std::shared_ptr<AnnotatedProgram> program_on(const Maps& maps) {
  auto result = verify_insns(count_keys(), maps);
  EXPECT_NE(result.program, nullptr)
      << "insn " << result.report.insn << ": " << result.report.reason;
  return result.program == nullptr ? nullptr : with_maps(*result.program, maps);
}

Maps maps_of(uint32_t entries) {
  return {make(BPF_MAP_TYPE_HASH, kValueSize, entries), make(BPF_MAP_TYPE_ARRAY, 8, 1)};
}

TEST(Prefetch, AMapThatFitsIntoTheCacheIsNotLookedAheadIn) {
  for (const uint32_t entries : {kSmall, kLarge}) {
    auto compiled =
        jit::compile(ChainSpec{{program_on(maps_of(entries))}, kLinearLayout}, {.keep_ir = true});
    ASSERT_TRUE(compiled) << compiled.error().text;
    EXPECT_EQ(compiled->ir.find("call void @llvm.prefetch") != std::string::npos, entries == kLarge)
        << entries;
  }
}

// Map 0 at the packet's first word, without a look at it before.
Code one_call(uint32_t helper) {
  Code code;
  code << mov(2, 0) << mov_reg(3, 10) << alu(BPF_ADD, 3, -8) << mov(4, 4)
       << call(BPF_FUNC_skb_load_bytes) << jump(BPF_JNE, 0, 0, 8);
  code << map_fd(1, 0) << mov_reg(2, 10) << alu(BPF_ADD, 2, -8) << mov_reg(3, 2) << mov(4, BPF_ANY)
       << call(helper) << mov(0, 1) << exit();
  return code;
}

TEST(Prefetch, UpdatesAndDeletesAreLookedAheadForToo) {
  for (const uint32_t helper : {BPF_FUNC_map_update_elem, BPF_FUNC_map_delete_elem}) {
    const Maps maps = {make(BPF_MAP_TYPE_HASH, 4, kLarge * 4)};
    auto result = verify_insns(one_call(helper), maps);
    ASSERT_NE(result.program, nullptr) << result.report.reason;
    const auto program = with_maps(*result.program, maps);
    auto compiled = jit::compile(ChainSpec{{program}, kLinearLayout}, {.keep_ir = true});
    ASSERT_TRUE(compiled) << compiled.error().text;
    EXPECT_NE(compiled->ir.find("call void @llvm.prefetch"), std::string::npos) << helper;
  }
}

// Keys repeat within a burst, and some come in only there: what the programs do stays in order.
TEST(Prefetch, VerdictsAndMapsAreThoseOfTheInterpreter) {
  const Maps maps[] = {maps_of(kLarge), maps_of(kLarge)};
  const std::vector<uint8_t> zero(kValueSize);
  for (const Maps& own : maps) {
    for (uint32_t key = 0; key < kLarge - 64; key++)
      ASSERT_EQ(own[0]->update(&key, zero.data(), BPF_ANY), 0);
  }
  auto compiled = jit::make_burst({{program_on(maps[0])}, kLinearLayout});
  ASSERT_TRUE(compiled) << compiled.error().text;
  const auto interpreted = make_interpreted_burst({{program_on(maps[1])}, kLinearLayout});
  std::mt19937 random(5);
  for (uint32_t count = 1; count <= kPackets; count++) {
    uint8_t bytes[kPackets][16] = {};
    LinearPacket packets[kPackets];
    void* places[kPackets];
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t key = i % 3 == 0   ? 7
                           : i % 3 == 1 ? random() % kLarge
                                        : kLarge - 1 - random() % 8;
      std::memcpy(bytes[i], &key, sizeof key);
      const uint32_t length = i % 11 == 10 ? 2 : 16;  // some are too short for a key
      packets[i] = {.buffer = bytes[i], .captured = length, .wire_length = 1u << 20};
      places[i] = &packets[i];
    }
    uint32_t verdicts[2][kPackets] = {};
    RunEnv env;
    ProgramCounters counters[2];
    (*compiled)->run(places, count, verdicts[0], &env, &counters[0]);
    interpreted->run(places, count, verdicts[1], &env, &counters[1]);
    for (uint32_t i = 0; i < count; i++)
      EXPECT_EQ(verdicts[0][i], verdicts[1][i]) << count << " " << i;
    EXPECT_EQ(counters[0].passed, counters[1].passed);
  }
  uint64_t packets_seen[2] = {};
  const uint32_t first = 0;
  for (int i = 0; i < 2; i++) ASSERT_EQ(maps[i][1]->lookup(&first, &packets_seen[i]), 0);
  EXPECT_EQ(packets_seen[0], packets_seen[1]);
  EXPECT_EQ(packets_seen[0], uint64_t{kPackets} * (kPackets + 1) / 2);
  EXPECT_EQ(maps[0][0]->entries(), maps[1][0]->entries());
  std::vector<uint8_t> values[] = {std::vector<uint8_t>(kValueSize),
                                   std::vector<uint8_t>(kValueSize)};
  for (uint32_t key = 0; key < kLarge; key++) {
    const int found = maps[0][0]->lookup(&key, values[0].data());
    ASSERT_EQ(maps[1][0]->lookup(&key, values[1].data()), found) << key;
    if (found == 0) {
      ASSERT_EQ(values[0], values[1]) << key;
    }
  }
}

}  // namespace
}  // namespace sluice::bpf
