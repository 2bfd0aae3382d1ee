// Counters: machine code adds to the worker's own copy as long as nobody does more to the map than
// adding, and the map always reads as in the interpreter.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <sstream>
#include <thread>

#include "bpf/interp/interp.hpp"
#include "bpf/jit/jit.hpp"
#include "bpf/maps/map_ops.hpp"
#include "bpf/maps/worker_count.hpp"
#include "tests/unit/jit/engines.hpp"
#include "tests/unit/jit/programs.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

constexpr uint32_t kEntries = 4;

struct Value {
  uint64_t packets = 0;
  uint32_t odd = 0;
  uint32_t length = 0;
  bool operator==(const Value&) const = default;
};

std::shared_ptr<Map> array(uint32_t entries = kEntries) {
  return *Map::create({"counts", BPF_MAP_TYPE_ARRAY, 4, sizeof(Value), entries});
}

// Into the value under the packet's first byte: one packet, its second byte, its length. R0 is 7.
Code count_packets() {
  Code code{mov_reg(6, 1), load_abs(BPF_B, 0), alu(BPF_AND, 0, 7), store(BPF_W, 10, -4, 0),
            load_abs(BPF_B, 1)};
  code << mov_reg(7, 0) << map_fd(1, 0) << mov_reg(2, 10) << alu(BPF_ADD, 2, -4)
       << call(BPF_FUNC_map_lookup_elem);
  code << jump(BPF_JEQ, 0, 0, 5) << mov(1, 1) << atomic(BPF_DW, BPF_ADD, 0, 0, 1)
       << atomic(BPF_W, BPF_ADD, 0, 8, 7);
  code << load(BPF_W, 1, 6, offsetof(__sk_buff, len)) << atomic(BPF_W, BPF_ADD, 0, 12, 1)
       << mov(0, 7) << exit();
  return code;
}

std::shared_ptr<const AnnotatedProgram> verified(const Code& code, const Maps& maps) {
  auto result = verify_insns(code, maps);
  EXPECT_NE(result.program, nullptr) << result.report.insn << ": " << result.report.reason;
  return result.program;
}

// As when it is loaded.
void admit(const AnnotatedProgram& program) {
  for (size_t i = 0; i < program.maps.size(); i++) program.maps[i]->admit(program.added[i]);
}

Value get(Map& map, uint32_t index) {
  Value value;
  EXPECT_EQ(map.lookup(&index, &value), 0);
  return value;
}
Value in_place(const Map& map, uint32_t index) {
  return *static_cast<const Value*>(map_lookup_elem(&map.core(), &index, 0));
}

struct Packet {
  Packet(uint8_t first, uint8_t second, uint32_t length) : bytes{first, second} {
    linear = {.buffer = bytes, .captured = length, .wire_length = length};
  }
  Packet(const Packet&) = delete;
  uint8_t bytes[64];
  LinearPacket linear;
};

std::string optimised(const std::shared_ptr<const AnnotatedProgram>& program) {
  auto code = jit::compile(ChainSpec{{program}, kLinearLayout}, {.keep_ir = true});
  EXPECT_TRUE(code) << code.error().text;
  return code ? code->ir : "";
}

size_t times(const std::string& text, const char* what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) count++;
  return count;
}

// The basic blocks of the text that have `what`.
std::vector<std::string> blocks_with(const std::string& ir, const char* what) {
  std::vector<std::string> found;
  std::string block;
  std::istringstream lines(ir);
  for (std::string line; std::getline(lines, line);) {
    const bool starts = !line.empty() && line[0] != ' ' && line.find(':') != std::string::npos;
    if (starts && block.find(what) != std::string::npos) found.push_back(block);
    if (starts) block.clear();
    block += line + "\n";
  }
  if (block.find(what) != std::string::npos) found.push_back(block);
  return found;
}

TEST(Counters, AWorkersOwnAddHasNoLock) {
  const auto program = verified(count_packets(), {array()});
  admit(*program);
  const std::string ir = optimised(program);
  const auto own = blocks_with(ir, "load atomic i64");
  ASSERT_EQ(own.size(), 1u) << ir;
  EXPECT_NE(own[0].find("store atomic i64"), std::string::npos) << own[0];
  EXPECT_EQ(own[0].find("atomicrmw"), std::string::npos) << own[0];
  EXPECT_EQ(times(ir, "atomicrmw add"), 3u) << "the way for the others";
  EXPECT_EQ(times(ir, " call "), times(ir, " call i32 @llvm.umin")) << "all is inlined: " << ir;
}

TEST(Counters, WithoutCopiesThereIsOneWay) {
  const auto program = verified(count_packets(), {array()});
  const std::string ir = optimised(program);
  EXPECT_EQ(ir.find("load atomic i64"), std::string::npos) << "nobody has told the map";
  EXPECT_EQ(times(ir, "atomicrmw add"), 3u);
}

TEST(Counters, AProgramThatReadsAddsToTheValues) {
  const Maps maps{array()};
  maps[0]->admit(std::vector<AddedField>{{0, 8}});  // another program
  Code code{store_imm(BPF_W, 10, -4, 0)};
  code << map_fd(1, 0) << mov_reg(2, 10) << alu(BPF_ADD, 2, -4) << call(BPF_FUNC_map_lookup_elem)
       << jump(BPF_JEQ, 0, 0, 3) << mov(1, 1) << atomic(BPF_DW, BPF_ADD, 0, 0, 1)
       << load(BPF_DW, 0, 0, 0) << exit();
  const auto program = verified(code, maps);
  EXPECT_NE(maps[0]->private_copies().copies, nullptr);
  const std::string ir = optimised(program);
  EXPECT_EQ(times(ir, "atomicrmw add"), 1u);
  EXPECT_EQ(ir.find("load atomic i32"), std::string::npos) << "PrivateCopies::adding: " << ir;
  admit(*program);
  EXPECT_FALSE(maps[0]->waits_to_admit());
}

TEST(Counters, EachWorkerAddsToItsCopyAndOthersToTheValues) {
  const Maps maps{array()};
  const auto program = verified(count_packets(), maps);
  admit(*program);
  Engine engine = compiled(*program, maps);
  const Packet packet(2, 5, 40);
  for (const uint32_t writer : {0u, 1u, 3u, worker_count(), kNoWorker}) {
    engine.env.writer = writer;
    EXPECT_EQ(engine.run(packet.linear), 7u);
  }
  EXPECT_EQ(get(*maps[0], 2), (Value{5, 25, 200}));
  EXPECT_EQ(in_place(*maps[0], 2), (Value{2, 10, 80}));
}

TEST(Counters, TheSameCodeGoesOnWhenTheMapIsShared) {
  const Maps maps{array()};
  const auto program = verified(count_packets(), maps);
  admit(*program);
  Engine engine = compiled(*program, maps);
  engine.env.writer = 1;
  const Packet packet(0, 1, 20);
  engine.run(packet.linear);
  EXPECT_EQ(in_place(*maps[0], 0), Value{});
  maps[0]->admit(std::nullopt);
  EXPECT_EQ(in_place(*maps[0], 0), (Value{1, 1, 20}));
  engine.run(packet.linear);
  EXPECT_EQ(in_place(*maps[0], 0), (Value{2, 2, 40}));
}

TEST(Counters, MapsReadAsAfterTheInterpreterAndWrapAsThere) {
  const Maps maps[] = {{array()}, {array()}};
  const auto program = verified(count_packets(), maps[0]);
  for (const Maps& own : maps) {
    admit(*with_maps(*program, own));
    const uint32_t index = 1;
    const Value nearly{UINT64_MAX - 2, UINT32_MAX - 30, UINT32_MAX - 100};
    ASSERT_EQ(own[0]->update(&index, &nearly, BPF_ANY), 0);
  }
  Engine engines[] = {compiled(*program, maps[0]), interpreted(*program, maps[1])};
  for (uint32_t i = 0; i < 200; i++) {
    const Packet packet(static_cast<uint8_t>(i % 5), static_cast<uint8_t>(i), 14 + i % 50);
    for (Engine& engine : engines) {
      engine.env.writer = i % 3;
      EXPECT_EQ(engine.run(packet.linear), 7u);
    }
  }
  EXPECT_EQ(contents(maps[0]), contents(maps[1]));
  EXPECT_LT(get(*maps[0][0], 1).packets, 100u);
}

// Fields of both widths at random places, one key a packet's first byte.
Code random_adds(std::mt19937& random, uint32_t value_size) {
  Code adds;
  for (uint32_t word = 0; word < value_size; word += 8) {
    const auto at = static_cast<int16_t>(word);
    const auto amount = [&] { return mov(1, static_cast<int32_t>(random())); };
    const uint32_t kind = random() % 4;
    if (kind == 1) adds << amount() << atomic(BPF_DW, BPF_ADD, 0, at, 1);
    if (kind >= 2) adds << amount() << atomic(BPF_W, BPF_ADD, 0, at, 1);
    if (kind == 3) adds << amount() << atomic(BPF_W, BPF_ADD, 0, static_cast<int16_t>(at + 4), 1);
  }
  Code code{mov_reg(6, 1), load_abs(BPF_B, 0), store(BPF_W, 10, -4, 0)};
  code << map_fd(1, 0) << mov_reg(2, 10) << alu(BPF_ADD, 2, -4) << call(BPF_FUNC_map_lookup_elem);
  code << jump(BPF_JEQ, 0, 0, static_cast<int16_t>(adds.size()));
  return code << adds << mov(0, 7) << exit();
}

TEST(Counters, RandomAddsUpdatesAndSharingAreAsInTheInterpreter) {
  std::mt19937 random(3);
  for (int program = 0; program < 100; program++) {
    const uint32_t value_size = 8 * (1 + random() % 8);
    const uint32_t entries = 1 + random() % 6;
    Maps maps[2];
    for (Maps& own : maps)
      own.push_back(*Map::create({"counts", BPF_MAP_TYPE_ARRAY, 4, value_size, entries}));
    const auto verified_program = verified(random_adds(random, value_size), maps[0]);
    admit(*verified_program);
    Engine engines[] = {compiled(*verified_program, maps[0]),
                        interpreted(*verified_program, maps[1])};
    const uint32_t shared_at = random() % 60;
    for (uint32_t i = 0; i < 40; i++) {
      const uint32_t writer = random() % 6;
      const Packet packet(static_cast<uint8_t>(random() % entries), 0, 20);
      for (Engine& engine : engines) {
        engine.env.writer = writer;
        engine.run(packet.linear);
      }
      const uint32_t key = random() % entries;
      std::vector<uint32_t> value(value_size / 4);
      for (uint32_t& each : value) each = random();
      for (const Maps& own : maps) {
        if (i % 8 != 7) continue;
        ASSERT_EQ(own[0]->update(&key, value.data(), BPF_ANY), 0);
      }
      if (i == shared_at) maps[0][0]->admit(std::nullopt);
      ASSERT_EQ(contents(maps[0]), contents(maps[1])) << program << " " << i;
    }
  }
}

TEST(Counters, DirectValuesAndCallbacksAddToCopies) {
  const Maps maps{array(1)};
  Code code{mov(1, 3)};
  const auto function = code.size();
  code << imm64(2, 0, BPF_PSEUDO_FUNC) << mov(3, 0) << mov(4, 0) << call(BPF_FUNC_loop) << mov(0, 7)
       << exit();
  code[function].imm = static_cast<int32_t>(code.size() - function) - 1;
  code << map_value(1, 0, 8) << mov(2, 1) << atomic(BPF_W, BPF_ADD, 1, 4, 2) << mov(0, 0) << exit();
  const auto program = verified(code, maps);
  admit(*program);
  Engine engine = compiled(*program, maps);
  engine.env.writer = 2;
  const Packet packet(0, 0, 20);
  engine.run(packet.linear);
  EXPECT_EQ(get(*maps[0], 0), (Value{0, 0, 3}));
  EXPECT_EQ(in_place(*maps[0], 0), Value{});
}

// An instruction that may add to either of two maps adds to the values.
TEST(Counters, AnAddOfUncertainMapIsStillCounted) {
  const Maps maps{array(), array()};
  Code code{mov_reg(6, 1), store_imm(BPF_W, 10, -4, 1), load_abs(BPF_B, 0)};
  code << map_fd(1, 0) << jump(BPF_JEQ, 0, 0, 2) << map_fd(1, 1) << mov_reg(2, 10)
       << alu(BPF_ADD, 2, -4) << call(BPF_FUNC_map_lookup_elem) << jump(BPF_JEQ, 0, 0, 2)
       << mov(1, 1) << atomic(BPF_DW, BPF_ADD, 0, 0, 1) << mov(0, 7) << exit();
  const auto program = verified(code, maps);
  admit(*program);
  EXPECT_TRUE(maps[0]->waits_to_admit() && maps[1]->waits_to_admit());
  Engine engine = compiled(*program, maps);
  engine.env.writer = 0;
  for (const uint8_t first : {0, 1, 1}) {
    const Packet packet(first, 0, 20);
    engine.run(packet.linear);
  }
  EXPECT_EQ(get(*maps[0], 1).packets, 1u);
  EXPECT_EQ(get(*maps[1], 1).packets, 2u);
}

TEST(Counters, WorkersOnThreadsOfTheirOwnLoseNothing) {
  constexpr uint32_t kThreads = 3;
  constexpr uint32_t kPackets = 100000;
  const Maps maps{array()};
  const auto program = verified(count_packets(), maps);
  admit(*program);
  std::vector<std::thread> threads;
  for (uint32_t w = 0; w < kThreads; w++) {
    threads.emplace_back([&, w] {
      Engine engine = compiled(*program, maps);
      engine.env.writer = w == 2 ? kNoWorker : w;
      const Packet packet(3, 1, 20);
      for (uint32_t i = 0; i < kPackets; i++) engine.run(packet.linear);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(get(*maps[0], 3),
            (Value{kThreads * kPackets, kThreads * kPackets, kThreads * kPackets * 20}));
}

}  // namespace
}  // namespace sluice::bpf
