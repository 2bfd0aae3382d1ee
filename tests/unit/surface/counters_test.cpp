// Arrays that are only added to, from PROG_LOAD on: which maps get copies, and that whoever does
// more finds exact values.
#include <thread>

#include "bpf/jit/jit.hpp"
#include "bpf/loader/loader.hpp"
#include "bpf/maps/map_ops.hpp"
#include "tests/unit/surface/pin_fixture.hpp"

namespace sluice::bpf {
namespace {

// Runs a program as a worker does.
class WorkerRun {
 public:
  explicit WorkerRun(std::shared_ptr<const AnnotatedProgram> program) {
    auto burst = jit::make_burst({{std::move(program)}, kLinearLayout});
    EXPECT_TRUE(burst) << burst.error().text;
    if (burst) burst_ = std::move(*burst);
  }
  uint32_t operator()(uint32_t writer, uint32_t length = 64) {
    uint8_t bytes[256] = {};
    LinearPacket packet{.buffer = bytes, .captured = length, .wire_length = length};
    void* packets[] = {&packet};
    uint32_t verdict = 0;
    RunEnv env;
    env.writer = writer;
    ProgramCounters counters;
    burst_->run(packets, 1, &verdict, &env, &counters);
    return verdict;
  }

 private:
  std::unique_ptr<Burst> burst_;
};

uint64_t word_of(Map& map, uint32_t key) {
  std::vector<uint64_t> value((map.user_value_size() + 7) / 8);
  EXPECT_EQ(map.lookup(&key, value.data()), 0);
  return value[0];
}
uint64_t word_in_place(const Map& map, uint32_t key) {
  return *static_cast<uint64_t*>(map_lookup_elem(&map.core(), &key, 0));
}

// R0 is the counter that counting_program counts in.
std::vector<Insn> reading_program(long map) {
  std::vector<Insn> insns = counting_program(map);
  insns[7] = insn(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_0, BPF_REG_0);
  insns[8] = leave();
  return insns;
}

class WaitingGrace final : public Grace {
 public:
  void retire(std::shared_ptr<const void>) override {}
  void wait() override {
    if (during_wait) during_wait();
    waits++;
  }
  std::function<void()> during_wait;
  int waits = 0;
};

struct Counting {
  WaitingGrace grace;
  BpfSurface surface{{.compile = jit::make_program, .grace = &grace}};
  Client client{surface};
  long map = client.create(BPF_MAP_TYPE_ARRAY, 4, 8, 4);
  long program = client.load(counting_program(map));

  [[nodiscard]] Map& core_map() { return *surface.objects().map_of(static_cast<int>(map))->map; }
  [[nodiscard]] std::shared_ptr<const AnnotatedProgram> annotated(long fd) {
    return surface.objects().program_of(static_cast<int>(fd))->annotated;
  }
  uint64_t lookup() {
    const uint32_t key = 0;
    uint64_t value = 0;
    EXPECT_EQ(client.element(BPF_MAP_LOOKUP_ELEM, map, &key, &value), 0);
    return value;
  }
};

TEST(Counters, WorkersCountApartAndLookupsSeeTheSum) {
  Counting test;
  ASSERT_GE(test.program, 0);
  WorkerRun run(test.annotated(test.program));
  for (const uint32_t writer : {0u, 1u, 1u, 2u}) EXPECT_EQ(run(writer), 7u);
  EXPECT_EQ(test.client.test_run(test.program), 7u);
  EXPECT_EQ(test.lookup(), 5u);
  EXPECT_EQ(word_in_place(test.core_map(), 0), 1u) << "the test run's";
}

TEST(Counters, AReadingProgramsLoadWaitsForTheWorkersAndItReadsAll) {
  Counting test;
  WorkerRun run(test.annotated(test.program));
  for (int i = 0; i < 5; i++) run(0);
  // A burst that began before goes on meanwhile: its adds are in a copy, since it looked before.
  const PrivateCopies copies = test.core_map().private_copies();
  test.grace.during_wait = [&] {
    EXPECT_FALSE(test.core_map().waits_to_admit());
    uint32_t before = 1;
    PrivateCopies late = copies;
    late.adding = &before;
    add_privately<uint64_t>(late, 0, copies.values, 10);
    EXPECT_EQ(test.lookup(), 15u) << "lookups go on";
  };
  const long reader = test.client.load(reading_program(test.map));
  ASSERT_GE(reader, 0);
  EXPECT_EQ(test.grace.waits, 1);
  EXPECT_EQ(test.client.test_run(reader), 15u);
  run(0);
  EXPECT_EQ(test.client.test_run(reader), 16u);
  EXPECT_EQ(WorkerRun(test.annotated(reader))(1), 16u);
  ASSERT_GE(test.client.load(reading_program(test.map)), 0);
  EXPECT_EQ(test.grace.waits, 1) << "once for all";
}

TEST(Counters, AProgramThatIsRefusedEndsNothing) {
  Counting test;
  std::vector<Insn> refused = reading_program(test.map);
  refused.back() = refused[8] = insn(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_0, BPF_REG_9);
  EXPECT_LT(test.client.load(refused), 0);
  EXPECT_TRUE(test.core_map().waits_to_admit());
}

TEST(Counters, AMapInAMapIsForAnybody) {
  Counting test;
  WorkerRun run(test.annotated(test.program));
  run(0);
  auto attr = empty_attr();
  attr.map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS;
  attr.key_size = attr.value_size = 4;
  attr.max_entries = 2;
  attr.inner_map_fd = static_cast<uint32_t>(test.map);
  const long outer = test.client.bpf(BPF_MAP_CREATE, attr);
  ASSERT_GE(outer, 0);
  EXPECT_TRUE(test.core_map().waits_to_admit()) << "as a template it is only looked at";
  const uint32_t key = 0;
  const auto inner = static_cast<uint32_t>(test.map);
  bool slow = false;
  Client quick{test.surface, {.slow = &slow}};
  (void)quick.element(BPF_MAP_UPDATE_ELEM, outer, &key, &inner);
  EXPECT_TRUE(slow) << "workers are not waited for where the call must be quick";
  EXPECT_EQ(test.grace.waits, 0);
  ASSERT_EQ(test.client.element(BPF_MAP_UPDATE_ELEM, outer, &key, &inner), 0);
  EXPECT_EQ(test.grace.waits, 1);
  run(0);
  EXPECT_EQ(word_in_place(test.core_map(), 0), 2u);
}

TEST(Counters, AnUpdateWhileWorkersCountIsWhatIsReadFromThenOn) {
  Counting test;
  WorkerRun run(test.annotated(test.program));
  for (const uint32_t writer : {0u, 1u}) run(writer);
  const uint32_t key = 0;
  const uint64_t value = 100;
  ASSERT_EQ(test.client.element(BPF_MAP_UPDATE_ELEM, test.map, &key, &value), 0);
  EXPECT_EQ(test.lookup(), 100u);
  run(1);
  EXPECT_EQ(test.lookup(), 101u);
}

TEST(Counters, EachMapOfAnObjectIsJudgedByWhatItsProgramDoes) {
  BpfSurface surface;
  auto loaded = load_object(
      surface, {.name = "test", .path = std::string(SLUICE_TEST_OBJECTS) + "/counters.bpf.o"});
  ASSERT_TRUE(loaded) << loaded.error().text;
  EXPECT_TRUE(loaded->maps.at("added")->waits_to_admit());
  EXPECT_FALSE(loaded->maps.at("given")->waits_to_admit())
      << "a global function may do what it likes";
  EXPECT_FALSE(loaded->maps.at("looked_at")->waits_to_admit());
  WorkerRun run(loaded->program);
  for (const uint32_t length : {60u, 200u, 200u}) EXPECT_EQ(run(length % 3, length), 7u);
  const uint32_t key = 1;
  struct {
    uint64_t packets;
    uint32_t small, large;
  } value{};
  for (const char* name : {"added", "given", "looked_at"}) {
    ASSERT_EQ(loaded->maps.at(name)->lookup(&key, &value), 0);
    EXPECT_EQ(value.packets, 3u) << name;
  }
  ASSERT_EQ(loaded->maps.at("added")->lookup(&key, &value), 0);
  EXPECT_EQ(value.small, 1u);
  EXPECT_EQ(value.large, 2u);
  EXPECT_EQ(word_in_place(*loaded->maps.at("added"), 1), 0u);
  EXPECT_EQ(word_of(*loaded->maps.at("counters.bss"), 0), 3u);
}

}  // namespace
}  // namespace sluice::bpf
