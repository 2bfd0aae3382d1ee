// Maps whose memory lies in files: what is there after the process that wrote it ended, decently or
// in mid-update.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "bpf/maps/hash_ops.hpp"
#include "bpf/maps/map_store.hpp"
#include "tests/unit/maps/map_fixture.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kEntries = 64;
// of a value: copying takes most of the time, so that a kill meets it
constexpr uint32_t kWords = 512;
constexpr uint32_t kSlots = 3;

struct Kind {
  const char* name;
  uint32_t type;
  uint32_t flags = 0;
  bool hash = true;
  bool locked = false;  // has a bpf_spin_lock in its last word, and is updated with BPF_F_LOCK
};
const Kind kKinds[] = {{"Hash", BPF_MAP_TYPE_HASH},
                       {"PerCpuHash", BPF_MAP_TYPE_PERCPU_HASH},
                       {"LockedHash", BPF_MAP_TYPE_HASH, 0, true, true},
                       {"LockedArray", BPF_MAP_TYPE_ARRAY, 0, false, true},
                       {"LazyHash", BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC},
                       {"Array", BPF_MAP_TYPE_ARRAY, 0, false},
                       {"MappedArray", BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, false},
                       {"PerCpuArray", BPF_MAP_TYPE_PERCPU_ARRAY, 0, false}};

class Store : public testing::TestWithParam<Kind> {
 protected:
  Store() {
    char path[] = "/dev/shm/sluice-store-test.XXXXXX";
    folder = ::mkdtemp(path);
    directory->fd = UniqueFd(::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
    directory->leaving = true;
  }
  ~Store() override { std::filesystem::remove_all(folder); }

  MapSpec spec(bool fresh) const {
    MapSpec spec =
        spec_of(GetParam().type, 4, kWords * 8, kEntries, is_per_cpu(GetParam().type) ? kSlots : 1);
    spec.flags = GetParam().flags;
    if (GetParam().locked) spec.spin_lock_offset = (kWords - 1) * 8;
    spec.store = std::make_shared<MapStore>(directory, "map", fresh);
    return spec;
  }
  std::shared_ptr<Map> open(bool fresh) const { return make(spec(fresh)); }
  std::string file(const char* part) const { return folder + "/map." + part; }

  std::string folder;
  std::shared_ptr<StoreDirectory> directory = std::make_shared<StoreDirectory>();
};

INSTANTIATE_TEST_SUITE_P(Kinds, Store, testing::ValuesIn(kKinds),
                         [](const auto& kind) { return kind.param.name; });

using Value = std::vector<uint64_t>;

// All words the same: a torn one shows.
Value value_of(const Map& map, uint64_t word) { return Value(map.user_value_size() / 8, word); }

int put(Map& map, uint32_t key, uint64_t word) {
  const bool locked = map.spec().spin_lock_offset >= 0;
  return map.update(&key, value_of(map, word).data(),
                    locked ? uint64_t{BPF_F_LOCK} : uint64_t{BPF_ANY});
}

// The word of a value that is whole; fails the test for another.
uint64_t get(Map& map, uint32_t key) {
  Value value(map.user_value_size() / 8);
  EXPECT_EQ(map.lookup(&key, value.data()), 0) << key;
  if (map.spec().spin_lock_offset >= 0) value.pop_back();
  EXPECT_EQ(std::count(value.begin(), value.end(), value[0]), static_cast<long>(value.size()))
      << "torn value of " << key;
  return value[0];
}

TEST_P(Store, AMapIsThereAgainWithItsElements) {
  auto map = open(true);
  for (uint32_t key = 0; key < kEntries; key++) ASSERT_EQ(put(*map, key, key + 1000), 0);
  const uint32_t gone = 7;
  if (GetParam().hash) {
    ASSERT_EQ(map->erase(&gone), 0);
  }
  map.reset();
  map = open(false);
  EXPECT_EQ(map->entries(), GetParam().hash ? kEntries - 1 : kEntries);
  for (uint32_t key = 0; key < kEntries; key++) {
    if (key == gone && GetParam().hash) continue;
    EXPECT_EQ(get(*map, key), key + 1000);
  }
  // Exactly the room that is left.
  if (GetParam().hash) {
    EXPECT_EQ(put(*map, 5000, 1), 0);
    EXPECT_EQ(put(*map, 5001, 1), -E2BIG);
  }
}

TEST_P(Store, FilesGoWithTheMapUnlessTheDaemonLeaves) {
  directory->leaving = false;
  auto map = open(true);
  EXPECT_FALSE(std::filesystem::is_empty(folder));
  map.reset();
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST_P(Store, AFileOfAnotherSizeOrNoneIsRefused) {
  open(true);
  std::filesystem::resize_file(file("values"), 4096 * 1000);
  auto longer = Map::create(spec(false));
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code, EBADMSG) << longer.error().text;
  std::filesystem::remove(file("values"));
  auto none = Map::create(spec(false));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ENOENT) << none.error().text;
}

TEST_P(Store, ATruncatedFileReadsAsZerosAndIsNoticed) {
  auto map = open(true);
  ASSERT_EQ(put(*map, 3, 5), 0);
  EXPECT_EQ(map->file_loss(), FileLoss::none);
  std::filesystem::resize_file(file("values"), 0);
  const uint32_t key = 3;
  Value value(map->user_value_size() / 8);
  (void)map->lookup(&key, value.data());
  EXPECT_EQ(value[0], 0u);
  EXPECT_EQ(map->file_loss(), FileLoss::truncated);
}

// Two writers as the daemon has them: the control side, and a program's helper. Tells `started`
// when they are at it.
[[noreturn]] void write_until_killed(Map& map, int started) {
  std::thread program([&map] {
    for (uint64_t word = 1;; word++) {
      const uint32_t key = 1000 + word % 40;
      const auto value = value_of(map, word);
      // In place, word by word, is what Linux promises of the other kinds.
      if (map.core().type != BPF_MAP_TYPE_HASH) continue;
      if (word % 3 == 0) {
        (void)hash_delete(&map.core(), key_for(&map.core(), &key), 1);
      } else {
        (void)hash_update(&map.core(), key_for(&map.core(), &key), value.data(), BPF_ANY, 1);
      }
    }
  });
  for (uint64_t word = 1;; word++) {
    const auto key = static_cast<uint32_t>(word % 24);
    if (word % 5 == 0) {
      (void)map.erase(&key);
    } else {
      (void)put(map, key, word);
    }
    if (word == 24 && ::write(started, "x", 1) != 1) ::_exit(1);
  }
}

TEST_P(Store, AKillInMidUpdateLeavesEveryValueWhole) {
  { auto map = open(true); }
  uint64_t seen = 0;
  for (int round = 0; round < 25; round++) {
    int started[2];
    ASSERT_EQ(::pipe(started), 0);
    const pid_t child = ::fork();
    if (child == 0) write_until_killed(*open(false), started[1]);
    ::close(started[1]);
    char byte;
    EXPECT_EQ(::read(started[0], &byte, 1), 1);
    ::close(started[0]);
    ::usleep(static_cast<useconds_t>(::random() % 6000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    auto map = open(false);
    ASSERT_NE(map, nullptr);
    uint64_t count = 0;
    uint32_t key;
    for (const uint32_t* from = nullptr; map->next_key(from, &key) == 0; from = &key) {
      get(*map, key);
      count++;
    }
    EXPECT_EQ(count, map->entries());
    seen += count;
  }
  EXPECT_GT(seen, 0u);  // on a loaded machine some children do not come to write
  if (!GetParam().hash) return;
  // Nothing leaked in all these rounds: as many as the map was made for fit in.
  auto map = open(false);
  for (uint32_t key = 5000; map->entries() < kEntries; key++) ASSERT_EQ(put(*map, key, 1), 0);
  EXPECT_EQ(put(*map, 9000, 1), -E2BIG);
}

class DamagedHash : public Store {};
INSTANTIATE_TEST_SUITE_P(Hash, DamagedHash, testing::Values(kKinds[0]));

TEST_P(DamagedHash, ATableThatNoKillCanLeaveIsRefusedWithItsPlace) {
  struct Damage {
    const char* text;
    void (*make)(const MapCore*, HashBucket*);
  };
  const Damage damages[] = {
      {"does not exist", [](const MapCore*, HashBucket* bucket) { bucket->overflow = 4000; }},
      {"hangs in two places",
       [](const MapCore*, HashBucket* bucket) { bucket->overflow = bucket->elements[0]; }},
      {"has a key of another place",
       [](const MapCore* map, HashBucket* bucket) {
         hash_key_of(hash_element(map, bucket->elements[0]))[0] ^= 1;
       }},
      {"elements for max_entries",
       [](const MapCore* map, HashBucket*) { hash_table(map)->total = 3; }},
  };
  for (const Damage& damage : damages) {
    auto map = open(true);
    for (uint32_t key = 0; key < kEntries; key++) ASSERT_EQ(put(*map, key, key), 0);
    uint64_t index = 0;
    while (hash_bucket(&map->core(), index)->tags[0] == 0) index++;
    damage.make(&map->core(), hash_bucket(&map->core(), index));
    map.reset();
    const auto refused = Map::create(spec(false));
    ASSERT_FALSE(refused) << damage.text;
    EXPECT_EQ(refused.error().code, EBADMSG);
    EXPECT_NE(refused.error().text.find(damage.text), std::string::npos) << refused.error().text;
    for (const char* part : {"table", "values"}) std::filesystem::remove(file(part));
  }
}

}  // namespace
}  // namespace sluice::bpf
