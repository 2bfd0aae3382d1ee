// The instruction table on both engines.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/unit/jit/engines.hpp"
#include "tests/unit/jit/insn_cases.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

constexpr uint64_t kUnwritten = 0x5ca1ab1e;

Maps make_maps() {
  Maps maps;
  maps.push_back(*Map::create({"result", BPF_MAP_TYPE_ARRAY, 4, 64, 1}));
  maps.push_back(*Map::create({"hash", BPF_MAP_TYPE_HASH, 8, 16, 16}));
  maps.push_back(*Map::create({"percpu", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 4}));
  uint64_t value[8] = {kUnwritten};
  const uint32_t key = 0;
  EXPECT_EQ(maps[0]->update(&key, value, BPF_ANY), 0);
  return maps;
}

std::vector<Insn> whole_program(const InsnCase& test) {
  Code code{mov_reg(6, 1)};
  code << test.body << map_value(1, 0) << store(BPF_DW, 1, 0, 0) << mov(0, 1) << exit();
  return code;
}

LinearPacket packet() {
  LinearPacket packet;
  packet.buffer = kPacket;
  packet.captured = sizeof kPacket;
  packet.wire_length = 100;
  packet.hash = 0xabcdef01;
  return packet;
}

uint64_t answer(const Engine& engine) {
  uint64_t value[8] = {};
  const uint32_t key = 0;
  engine.maps[0]->lookup(&key, value);
  return value[0];
}

void expect_answer(const InsnCase& test, Engine engine) {
  ASSERT_NE(engine.burst, nullptr);
  EXPECT_EQ(engine.run(packet()), test.ends_early ? 0u : 1u);
  EXPECT_EQ(answer(engine), test.ends_early ? kUnwritten : test.answer)
      << std::hex << answer(engine);
}

void run_all(const std::vector<InsnCase>& cases) {
  for (const auto& test : cases) {
    SCOPED_TRACE(test.name);
    const auto verified = verify_insns(whole_program(test), make_maps());
    if (verified.program == nullptr) {
      ADD_FAILURE() << "refused: insn " << verified.report.insn << ": " << verified.report.reason;
      continue;
    }
    {
      SCOPED_TRACE("interpreter");
      expect_answer(test, interpreted(*verified.program, make_maps()));
    }
    {
      SCOPED_TRACE("jit");
      expect_answer(test, compiled(*verified.program, make_maps()));
    }
  }
}

TEST(Instructions, ArithmeticIsRfc9669InBothEngines) { run_all(arithmetic_cases()); }
TEST(Instructions, JumpsAreRfc9669InBothEngines) { run_all(jump_cases()); }
TEST(Instructions, LoadsStoresAndAtomicsAreRfc9669InBothEngines) { run_all(memory_cases()); }
TEST(Instructions, HelpersAnswerTheSameInBothEngines) { run_all(call_cases()); }

}  // namespace
}  // namespace sluice::bpf
