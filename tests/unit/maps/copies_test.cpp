// Arrays that are only added to: each worker in a copy of its own, and what users see of it. Run
// with -Db_sanitize=thread too.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>

#include "bpf/maps/array_copies.hpp"
#include "bpf/maps/map_store.hpp"
#include "bpf/maps/worker_count.hpp"
#include "tests/unit/maps/map_fixture.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kEntries = 4;
constexpr uint32_t kWorkers = 3;

struct Value {
  uint64_t packets = 0;
  uint32_t errors = 0;
  uint32_t drops = 0;
  uint64_t limit = 0;  // not added to
  bool operator==(const Value&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Value& value) {
  return out << value.packets << " " << value.errors << " " << value.drops << " " << value.limit;
}
const std::vector<AddedField> kFields{{0, 8}, {8, 4}, {12, 4}};

MapSpec array_spec(uint32_t flags = 0) {
  MapSpec spec = spec_of(BPF_MAP_TYPE_ARRAY, 4, sizeof(Value), kEntries);
  spec.flags = flags;
  return spec;
}

std::shared_ptr<Map> private_array() {
  auto map = make(array_spec());
  map->admit(kFields);
  return map;
}

Value get(Map& map, uint32_t index) {
  Value value;
  EXPECT_EQ(map.lookup(&index, &value), 0);
  return value;
}

Value& in_place(const Map& map, uint32_t index) {
  return *static_cast<Value*>(map_lookup_elem(&map.core(), &index, 0));
}

// As machine code does it.
void add(const PrivateCopies& copies, uint32_t writer, uint32_t index, Value amount) {
  Value& value = reinterpret_cast<Value*>(copies.values)[index];
  add_privately(copies, writer, &value.packets, amount.packets);
  add_privately(copies, writer, &value.errors, amount.errors);
  add_privately(copies, writer, &value.drops, amount.drops);
}
void add(const Map& map, uint32_t writer, uint32_t index, Value amount) {
  add(map.private_copies(), writer, index, amount);
}

TEST(PrivateCopies, AReadIsTheValueAndAllCopies) {
  const auto map = private_array();
  for (const uint32_t writer : {0u, 1u, 2u, worker_count() - 1, worker_count(), kNoWorker}) {
    add(*map, writer, 2, {10, 1, 2});
  }
  EXPECT_EQ(get(*map, 2), (Value{60, 6, 12}));
  EXPECT_EQ(get(*map, 1), Value{});
  EXPECT_EQ(in_place(*map, 2), (Value{20, 2, 4}))
      << "who is no worker, or has no copy, adds to the value";
}

TEST(PrivateCopies, ABatchReadsSumsToo) {
  const auto map = private_array();
  for (uint32_t index = 0; index < kEntries; index++) {
    add(*map, index % kWorkers, index, {index + 1, index, 7});
  }
  uint32_t keys[kEntries], token;
  Value values[kEntries];
  Batch batch;
  batch.out = &token;
  batch.keys = keys;
  batch.values = values;
  batch.count = kEntries;
  EXPECT_EQ(map->lookup_batch(batch, false), -ENOENT);
  ASSERT_EQ(batch.count, kEntries);
  for (uint32_t index = 0; index < kEntries; index++) {
    EXPECT_EQ(values[index], (Value{index + 1, index, 7}));
  }
}

TEST(PrivateCopies, WorkersCopiesShareNoPage) {
  const auto map = private_array();
  const PrivateCopies copies = map->private_copies();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(copies.copies) % 4096, 0u);
  EXPECT_EQ(copies.distance % 4096, 0u);
  EXPECT_EQ(copies.values, map->core().values);
}

TEST(PrivateCopies, AnUpdateIsWhatIsReadAndAddedTo) {
  const auto map = private_array();
  add(*map, 0, 1, {100, 20, 30});
  add(*map, kNoWorker, 1, {5, 5, 5});
  const uint32_t index = 1;
  const Value given{7, 3, 0, 99};  // less than what is in the copies
  ASSERT_EQ(map->update(&index, &given, BPF_EXIST), 0);
  EXPECT_EQ(get(*map, 1), given);
  add(*map, 2, 1, {1, 1, 1});
  EXPECT_EQ(get(*map, 1), (Value{8, 4, 1, 99}));
}

TEST(PrivateCopies, FieldsWrapAroundEachForItself) {
  const auto map = private_array();
  const uint32_t index = 0;
  const Value last{UINT64_MAX, UINT32_MAX, 5, UINT64_MAX};
  ASSERT_EQ(map->update(&index, &last, BPF_ANY), 0);
  add(*map, 1, 0, {3, 2, UINT32_MAX});
  EXPECT_EQ(get(*map, 0), (Value{2, 1, 4, UINT64_MAX}));
  ASSERT_EQ(map->update(&index, &last, BPF_ANY), 0);
  EXPECT_EQ(get(*map, 0), last);
}

TEST(PrivateCopies, WhoDoesMoreThanAddingSeesTheSumsAndEndsThemForGood) {
  const auto map = private_array();
  EXPECT_TRUE(map->waits_to_admit());
  for (uint32_t writer = 0; writer < kWorkers; writer++) add(*map, writer, 3, {1, 2, 3});
  map->admit(std::nullopt);
  EXPECT_EQ(in_place(*map, 3), (Value{3, 6, 9}));
  EXPECT_EQ(get(*map, 3), (Value{3, 6, 9}));
  map->admit(kFields);
  EXPECT_FALSE(map->waits_to_admit());
  add(*map, 0, 3, {1, 1, 1});
  EXPECT_EQ(in_place(*map, 3), (Value{4, 7, 10}));
}

TEST(PrivateCopies, WhereSomebodyDidMoreBeforeThereAreNone) {
  const auto map = make(array_spec());
  map->admit(std::nullopt);
  map->admit(kFields);
  EXPECT_EQ(map->private_copies().copies, nullptr);
  EXPECT_FALSE(map->waits_to_admit());
}

TEST(PrivateCopies, AProgramThatDoesNotTouchTheValuesChangesNothing) {
  const auto map = make(array_spec());
  map->admit(std::vector<AddedField>{});
  EXPECT_EQ(map->private_copies().copies, nullptr);
  map->admit(kFields);
  map->admit(std::vector<AddedField>{});
  EXPECT_TRUE(map->waits_to_admit());
}

TEST(PrivateCopies, ProgramsMayAddToDifferentFieldsButNotToPartsOfOne) {
  const auto map = make(array_spec());
  map->admit(std::vector<AddedField>{{0, 8}});
  add_privately<uint64_t>(map->private_copies(), 0, &in_place(*map, 0).packets, 5);
  map->admit(std::vector<AddedField>{{8, 4}});
  EXPECT_TRUE(map->waits_to_admit());
  add_privately<uint32_t>(map->private_copies(), 0, &in_place(*map, 0).errors, 6);
  EXPECT_EQ(get(*map, 0), (Value{5, 6}));
  map->admit(std::vector<AddedField>{{8, 8}});
  EXPECT_FALSE(map->waits_to_admit());
  EXPECT_EQ(in_place(*map, 0), (Value{5, 6}));
}

TEST(PrivateCopies, OnlyPlainArraysOfModerateSizeHaveThem) {
  MapSpec locked = array_spec();
  locked.spin_lock_offset = 16;
  MapSpec large = array_spec();
  large.max_entries = (1u << 20) / sizeof(Value) + 1;
  MapSpec per_cpu = array_spec();
  per_cpu.type = BPF_MAP_TYPE_PERCPU_ARRAY;
  MapSpec hash = array_spec();
  hash.type = BPF_MAP_TYPE_HASH;
  for (const MapSpec& spec : {array_spec(BPF_F_MMAPABLE), array_spec(BPF_F_INNER_MAP),
                              array_spec(BPF_F_RDONLY_PROG), locked, large, per_cpu, hash}) {
    const auto map = make(spec);
    map->admit(kFields);
    EXPECT_EQ(map->private_copies().copies, nullptr) << spec.type << " " << spec.flags;
  }
  large.max_entries--;
  const auto map = make(large);
  map->admit(kFields);
  EXPECT_NE(map->private_copies().copies, nullptr);
}

TEST(PrivateCopies, AFieldBeyondTheValueIsNone) {
  const auto map = make(array_spec());
  map->admit(std::vector<AddedField>{{sizeof(Value) - 4, 8}});
  EXPECT_FALSE(map->waits_to_admit());
}

// Waits until each worker has ended a burst that began later, or all of its work.
class TestGrace final : public Grace {
 public:
  void retire(std::shared_ptr<const void>) override {}
  void wait() override {
    waits++;
    for (auto& worker : bursts) {
      const uint64_t before = worker.load();
      while (worker.load() < before + 2 && worker.load() != kDone) std::this_thread::yield();
    }
  }
  static constexpr uint64_t kDone = UINT64_MAX;
  std::atomic<uint64_t> bursts[kWorkers] = {};
  std::atomic<uint32_t> waits{0};
};

constexpr uint64_t kBursts = 4000;
constexpr uint64_t kPackets = 32;

void count_bursts(const PrivateCopies& copies, uint32_t writer, TestGrace& grace) {
  for (uint64_t burst = 0; burst < kBursts; burst++) {
    for (uint64_t i = 0; i < kPackets; i++) {
      add(copies, writer, 0, {1, 1, 1});
      add(copies, writer, 1, {1, 1, 1});
    }
    grace.bursts[writer]++;
  }
  grace.bursts[writer] = TestGrace::kDone;
}

TEST(PrivateCopies, NothingIsLostWhileWorkersAddAndTheControlSideReadsUpdatesAndShares) {
  TestGrace grace;
  MapSpec spec = array_spec();
  spec.grace = &grace;
  const auto map = make(spec);
  map->admit(kFields);
  std::vector<std::thread> workers;
  for (uint32_t w = 0; w < kWorkers; w++) {
    workers.emplace_back(count_bursts, map->private_copies(), w, std::ref(grace));
  }
  std::thread reader([&] {
    for (uint64_t last = 0; last < kWorkers * kBursts * kPackets;) {
      const Value value = get(*map, 0);
      EXPECT_GE(value.packets, last) << "a count goes back";
      last = value.packets;
    }
  });
  const uint64_t base = 1ull << 40;  // far from what the workers add
  const uint32_t updated = 1;
  const auto all_done = [&] {
    return std::ranges::all_of(grace.bursts,
                               [](auto& worker) { return worker.load() == TestGrace::kDone; });
  };
  for (uint64_t round = 1; !all_done(); round++) {
    const Value given{round * base, 0, 0, round};
    ASSERT_EQ(map->update(&updated, &given, BPF_ANY), 0);
    const Value read = get(*map, updated);
    EXPECT_EQ(read.limit, round);
    EXPECT_EQ(read.packets / base, round) << "an update is neither lost nor done twice";
    if (round == 50) map->admit(std::nullopt);
  }
  for (std::thread& worker : workers) worker.join();
  reader.join();
  const uint64_t all = kWorkers * kBursts * kPackets;
  EXPECT_EQ(get(*map, 0), (Value{all, static_cast<uint32_t>(all), static_cast<uint32_t>(all)}));
  map->admit(std::nullopt);
  EXPECT_EQ(in_place(*map, 0).packets, all);
  EXPECT_EQ(grace.waits, 1u);
}

class CopiesInAStore : public testing::Test {
 public:
  CopiesInAStore() {
    char path[] = "/dev/shm/sluice-copies-test.XXXXXX";
    folder = ::mkdtemp(path);
    directory->fd = UniqueFd(::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
    directory->leaving = true;
  }
  ~CopiesInAStore() override { std::filesystem::remove_all(folder); }

  Result<std::shared_ptr<Map>> try_open(bool fresh) const {
    MapSpec spec = array_spec();
    spec.store = std::make_shared<MapStore>(directory, "map", fresh);
    return Map::create(spec);
  }
  std::shared_ptr<Map> open(bool fresh) const {
    auto map = try_open(fresh);
    EXPECT_TRUE(map) << (map ? "" : map.error().text);
    return map ? *map : nullptr;
  }
  [[nodiscard]] std::string added() const { return folder + "/map.added"; }
  // The word at `offset` of the file "added".
  void write_added(off_t offset, uint64_t word) const {
    const UniqueFd file(::open(added().c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(::pwrite(file.get(), &word, sizeof word, offset), 8);
  }

  std::string folder;
  std::shared_ptr<StoreDirectory> directory = std::make_shared<StoreDirectory>();
};

TEST_F(CopiesInAStore, CountsAreThereAgainBeforeAnyProgram) {
  auto map = open(true);
  EXPECT_FALSE(std::filesystem::exists(added())) << "made when the first program only adds";
  map->admit(kFields);
  add(*map, 0, 1, {5, 6, 7});
  add(*map, 1, 1, {10, 10, 10});
  map = open(false);
  EXPECT_EQ(get(*map, 1), (Value{15, 16, 17}));
  EXPECT_FALSE(map->waits_to_admit()) << "no program has been loaded";
  map->admit(kFields);
  add(*map, 0, 1, {1, 1, 1});
  EXPECT_EQ(get(*map, 1), (Value{16, 17, 18}));
  map = open(false);
  map->admit(std::nullopt);
  EXPECT_EQ(in_place(*map, 1), (Value{16, 17, 18}));
  map = open(false);
  EXPECT_EQ(get(*map, 1), (Value{16, 17, 18})) << "what was folded does not count again";
}

TEST_F(CopiesInAStore, AMapOfAnotherMachineHasAsManyCopiesAsThere) {
  auto map = open(true);
  map->admit(kFields);
  add(*map, 1, 0, {5, 5, 5});
  map.reset();
  std::filesystem::resize_file(added(), 3 * 4096);
  map = open(false);
  map->admit(kFields);
  for (const uint32_t writer : {1u, 2u}) add(*map, writer, 0, {1, 1, 1});
  EXPECT_EQ(get(*map, 0), (Value{7, 7, 7}));
  EXPECT_EQ(in_place(*map, 0), (Value{1, 1, 1})) << "the third has none";
}

TEST_F(CopiesInAStore, AFileThatWasCutShortBeforeItsFieldsHoldsNothing) {
  for (const uint64_t bytes : {uint64_t{0}, uint64_t{4096}, uint64_t{2 * 4096}}) {
    auto map = open(true);
    const uint32_t index = 0;
    const Value given{3, 4, 5, 6};
    ASSERT_EQ(map->update(&index, &given, BPF_ANY), 0);
    map.reset();
    { const UniqueFd file(::open(added().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)); }
    std::filesystem::resize_file(added(), bytes);
    map = open(false);
    map->admit(kFields);
    add(*map, 0, 0, {1, 1, 1});
    EXPECT_EQ(get(*map, 0), (Value{4, 5, 6, 6})) << bytes;
    map.reset();
    for (const char* part : {"values", "redo", "added"})
      std::filesystem::remove(folder + "/map." + part);
  }
}

TEST_F(CopiesInAStore, WhatNoKillCanLeaveIsRefused) {
  struct Damage {
    const char* text;
    void (*make)(const CopiesInAStore&);
  };
  const Damage damages[] = {
      {"more added fields",
       [](const CopiesInAStore& test) { test.write_added(0, kMaxAddedFields + 1); }},
      {"cannot be", [](const CopiesInAStore& test) { test.write_added(8, 0x0000000800000004ull); }},
      {"cannot be",
       [](const CopiesInAStore& test) { test.write_added(16, 0x0000000400000004ull); }},
      {"cannot be",
       [](const CopiesInAStore& test) { test.write_added(16, 0x0000000400001000ull); }},
      {"cannot be",
       [](const CopiesInAStore& test) { test.write_added(16, 0x0000000200000008ull); }},
      {"cannot be",
       [](const CopiesInAStore& test) { test.write_added(16, 0x0000000800000000ull); }},
      {"with copies",
       [](const CopiesInAStore& test) { std::filesystem::resize_file(test.added(), 4096); }},
      {"whole pages",
       [](const CopiesInAStore& test) { std::filesystem::resize_file(test.added(), 5000); }},
  };
  for (const Damage& damage : damages) {
    open(true)->admit(kFields);
    damage.make(*this);
    const auto refused = try_open(false);
    ASSERT_FALSE(refused) << damage.text;
    EXPECT_EQ(refused.error().code, EBADMSG);
    EXPECT_NE(refused.error().text.find(damage.text), std::string::npos) << refused.error().text;
    for (const char* part : {"values", "redo", "added"})
      std::filesystem::remove(folder + "/map." + part);
  }
}

TEST_F(CopiesInAStore, TheFileGoesWithTheMap) {
  directory->leaving = false;
  auto map = open(true);
  map->admit(kFields);
  EXPECT_TRUE(std::filesystem::exists(added()));
  map.reset();
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

// What the child has done for certain, where a kill does not reach it.
struct Counted {
  std::atomic<uint64_t> packets[kWorkers];
  std::atomic<uint64_t> updates;
};

constexpr uint64_t kStep = 1ull << 40;

[[noreturn]] void count_until_killed(Map& map, Counted& counted) {
  map.admit(kFields);
  for (uint32_t w = 0; w < kWorkers; w++) {
    std::thread([copies = map.private_copies(), &counted, w] {
      for (;;) {
        add(copies, w, 0, {1, 1, 1});
        add(copies, w, 1, {1, 1, 1});
        counted.packets[w].fetch_add(1);
      }
    }).detach();
  }
  const uint32_t index = 1;
  for (uint64_t round = 1;; round++) {
    const Value given{round * kStep, 0, 0, round};
    (void)map.update(&index, &given, BPF_ANY);
    counted.updates++;
  }
}

TEST_F(CopiesInAStore, AKillLosesNoCountAndLeavesUpdatesWhole) {
  auto* counted = static_cast<Counted*>(
      ::mmap(nullptr, sizeof(Counted), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  { auto map = open(true); }
  for (int round = 0; round < 25; round++) {
    const uint64_t updates = counted->updates.load();
    const pid_t child = ::fork();
    if (child == 0) count_until_killed(*open(false), *counted);
    while (counted->updates.load() == updates) ::usleep(100);
    ::usleep(static_cast<useconds_t>(::random() % 6000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    auto map = open(false);
    ASSERT_NE(map, nullptr);
    uint64_t certain = 0;
    for (auto& each : counted->packets) certain += each.load();
    const Value counts = get(*map, 0);
    EXPECT_GE(counts.packets, certain);
    EXPECT_LE(counts.packets, certain + (round + 1) * kWorkers)
        << "one each is under way in a kill";
    EXPECT_GE(counts.errors, static_cast<uint32_t>(certain));
    const Value updated = get(*map, 1);
    EXPECT_EQ(updated.packets / kStep, updated.limit);
    EXPECT_NE(updated.limit, 0u);
  }
  ::munmap(counted, sizeof(Counted));
}

}  // namespace
}  // namespace sluice::bpf
