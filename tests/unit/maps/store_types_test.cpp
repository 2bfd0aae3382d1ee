// Maps of the newer types whose memory lies in files: reopened after an orderly end, after a kill,
// and when damaged.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "bpf/maps/map_store.hpp"
#include "tests/unit/maps/map_fixture.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kValueWords = 64;

class StoredTypes : public testing::Test {
 protected:
  StoredTypes() {
    char path[] = "/dev/shm/sluice-store-types.XXXXXX";
    folder = ::mkdtemp(path);
    directory->fd = UniqueFd(::open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
    directory->leaving = true;
  }
  ~StoredTypes() override { std::filesystem::remove_all(folder); }

  MapSpec spec(uint32_t type, bool fresh) const {
    const bool keyless = type == BPF_MAP_TYPE_QUEUE || type == BPF_MAP_TYPE_STACK ||
                         type == BPF_MAP_TYPE_BLOOM_FILTER || type == BPF_MAP_TYPE_RINGBUF;
    const bool target = type == BPF_MAP_TYPE_DEVMAP || type == BPF_MAP_TYPE_DEVMAP_HASH;
    MapSpec spec = spec_of(type, keyless ? 0 : type == BPF_MAP_TYPE_LPM_TRIE ? 8 : 4,
                           type == BPF_MAP_TYPE_RINGBUF ? 0 : target ? 8 : kValueWords * 8,
                           type == BPF_MAP_TYPE_RINGBUF ? 4096 : 32);
    if (type == BPF_MAP_TYPE_LPM_TRIE) spec.flags = BPF_F_NO_PREALLOC;
    spec.store = std::make_shared<MapStore>(directory, "map", fresh);
    return spec;
  }
  std::shared_ptr<Map> open(uint32_t type, bool fresh) const { return make(spec(type, fresh)); }
  // The map is refused once `size` bytes at `offset` of a file are overwritten.
  void expect_damage(uint32_t type, const char* part, uint64_t offset, uint64_t value,
                     int code = EBADMSG) const {
    const UniqueFd file(::open((folder + "/map." + part).c_str(), O_RDWR));
    uint64_t before = 0;
    ASSERT_EQ(::pread(file.get(), &before, sizeof before, static_cast<off_t>(offset)), 8);
    ASSERT_EQ(::pwrite(file.get(), &value, sizeof value, static_cast<off_t>(offset)), 8);
    const auto map = Map::create(spec(type, false));
    ASSERT_FALSE(map);
    EXPECT_EQ(map.error().code, code) << map.error().text;
    ASSERT_EQ(::pwrite(file.get(), &before, sizeof before, static_cast<off_t>(offset)), 8);
  }

  std::string folder;
  std::shared_ptr<StoreDirectory> directory = std::make_shared<StoreDirectory>();
};

using Words = std::vector<uint64_t>;
Words words_of(uint64_t number) {
  Words words(kValueWords, number);
  for (uint32_t i = 0; i < kValueWords; i++) words[i] = number * (i + 1);
  return words;
}

// Runs `body` in a process of its own and kills it in the middle of it, now and then later.
template <class Body>
void kill_in(Body body, uint32_t microseconds) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    body();
    ::_exit(0);
  }
  ::usleep(microseconds);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "it was meant to be in the middle of its work";
}

TEST_F(StoredTypes, QueueKilledInMidPushHoldsWholeValuesInARow) {
  for (uint32_t type : {BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_STACK}) {
    open(type, true);
    uint64_t number = 1;
    for (int round = 0; round < 30; round++) {
      auto map = open(type, false);
      kill_in(
          [&] {
            for (uint64_t i = number;; i++) {
              Words popped(kValueWords);
              if (i % 3 == 0 && type == BPF_MAP_TYPE_QUEUE)
                map->lookup_and_erase(nullptr, popped.data(), 0);
              map_push_elem(&map->core(), words_of(i).data(), BPF_EXIST);
            }
          },
          500 + 173 * round);
      map = open(type, false);
      Words value(kValueWords);
      uint64_t count = 0, last = 0;
      const uint64_t entries = map->entries();
      while (map->lookup_and_erase(nullptr, value.data(), 0) == 0) {
        ASSERT_EQ(value, words_of(value[0])) << "whole";
        if (count > 0) {
          ASSERT_EQ(value[0], type == BPF_MAP_TYPE_QUEUE ? last + 1 : last - 1);
        }
        last = value[0];
        number = std::max(number, last + 1);
        count++;
      }
      ASSERT_EQ(count, entries);
    }
    EXPECT_GT(number, 1u);
    std::filesystem::remove(folder + "/map.values");
  }
}

struct Prefix {
  uint32_t bits;
  uint8_t data[4];
};

TEST_F(StoredTypes, TrieKilledInMidUpdateIsWhole) {
  open(BPF_MAP_TYPE_LPM_TRIE, true);
  const auto random_prefix = [](std::mt19937& random) {
    Prefix key{static_cast<uint32_t>(random() % 33), {}};
    for (uint32_t bit = 0; bit < key.bits; bit++) {
      if (random() % 3 == 0) key.data[bit / 8] |= static_cast<uint8_t>(0x80 >> bit % 8);
    }
    return key;
  };
  uint64_t seen = 0;
  for (int round = 0; round < 30; round++) {
    auto map = open(BPF_MAP_TYPE_LPM_TRIE, false);
    kill_in(
        [&] {
          std::mt19937 random(round);
          for (;;) {
            const Prefix key = random_prefix(random);
            if (random() % 3 == 0) {
              map_delete_elem(&map->core(), &key);
            } else {
              map_update_elem(&map->core(), &key, words_of(random()).data(), BPF_ANY, 0);
            }
          }
        },
        500 + 173 * round);
    map = open(BPF_MAP_TYPE_LPM_TRIE, false);
    Prefix key{};
    Words value(kValueWords);
    uint64_t count = 0;
    for (int error = map->next_key(nullptr, &key); error == 0; error = map->next_key(&key, &key)) {
      ASSERT_EQ(map->lookup(&key, value.data()), 0);
      ASSERT_EQ(value, words_of(value[0]));
      count++;
    }
    ASSERT_EQ(count, map->entries());
    seen += count;
    while (map->next_key(nullptr, &key) == 0) ASSERT_EQ(map->erase(&key), 0);
    for (uint32_t i = 0; i < 32; i++) {
      const Prefix leaf{32, {static_cast<uint8_t>(i * 41), 1, 2, static_cast<uint8_t>(i)}};
      ASSERT_EQ(map->update(&leaf, value.data(), BPF_NOEXIST), 0) << "no node was lost";
    }
  }
  EXPECT_GT(seen, 100u);
}

TEST_F(StoredTypes, RingBufferKeepsItsRecordsAndDropsTheUnfinished) {
  auto map = open(BPF_MAP_TYPE_RINGBUF, true);
  const uint64_t first = 11, last = 33;
  ASSERT_EQ(ring_output(&map->core(), &first, 8, 0), 0);
  ASSERT_NE(ring_reserve(&map->core(), 8, 0), nullptr);
  ASSERT_EQ(ring_output(&map->core(), &last, 8, 0), 0);
  map.reset();
  map = open(BPF_MAP_TYPE_RINGBUF, false);
  const uint8_t* data = map->core().values;
  const auto header = [&](int record) {
    return reinterpret_cast<const uint32_t*>(data + 16 * record)[0];
  };
  EXPECT_EQ(ring_query(&map->core(), BPF_RB_AVAIL_DATA), 48u);
  EXPECT_EQ(header(0), 8u);
  EXPECT_EQ(header(1), 8u | BPF_RINGBUF_DISCARD_BIT);
  EXPECT_EQ(header(2), 8u);
  EXPECT_EQ(word_at(data + 8), 11u);
  EXPECT_EQ(word_at(data + 40), 33u);
  EXPECT_EQ(ring_output(&map->core(), &last, 8, 0), 0);
  map.reset();
  expect_damage(BPF_MAP_TYPE_RINGBUF, "table", offsetof(RingTable, producer), 1u << 20);
  expect_damage(BPF_MAP_TYPE_RINGBUF, "table", sizeof(RingTable) + 24, 0x7ffffff0);
}

TEST_F(StoredTypes, OthersComeBackAsTheyWere) {
  for (uint32_t type : {BPF_MAP_TYPE_BLOOM_FILTER, BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH,
                        BPF_MAP_TYPE_LRU_HASH}) {
    auto map = open(type, true);
    const bool bloom = type == BPF_MAP_TYPE_BLOOM_FILTER;
    for (uint32_t key : {3u, 17u, 30u}) {
      Words value = words_of(key);
      ASSERT_EQ(map->update(bloom ? nullptr : &key, value.data(), BPF_ANY), 0);
    }
    const uint64_t entries = map->entries();
    map.reset();
    map = open(type, false);
    EXPECT_EQ(map->entries(), entries);
    for (uint32_t key = 0; key < 32; key++) {
      Words value = bloom ? words_of(key) : Words(kValueWords);
      const bool there = key == 3 || key == 17 || key == 30;
      ASSERT_EQ(map->lookup(bloom ? nullptr : &key, value.data()), there ? 0 : -ENOENT)
          << type << " key " << key;
      if (there) {
        EXPECT_EQ(static_cast<uint32_t>(value[0]), key);
      }
    }
    map.reset();
    for (const auto& file : std::filesystem::directory_iterator(folder))
      std::filesystem::remove(file);
  }
}

TEST_F(StoredTypes, DamageIsRefused) {
  auto map = open(BPF_MAP_TYPE_QUEUE, true);
  map.reset();
  expect_damage(BPF_MAP_TYPE_QUEUE, "values", offsetof(QueueTable, state), 33ull << 32);
  expect_damage(BPF_MAP_TYPE_QUEUE, "values", offsetof(QueueTable, state), 77);
  std::filesystem::remove(folder + "/map.values");
  map = open(BPF_MAP_TYPE_LPM_TRIE, true);
  for (uint8_t i = 0; i < 4; i++) {
    const Prefix key{32, {i, 0, 0, 0}};
    ASSERT_EQ(map->update(&key, words_of(i).data(), BPF_ANY), 0);
  }
  const uint64_t stride = trie_node_stride(&map->core());
  map.reset();
  expect_damage(BPF_MAP_TYPE_LPM_TRIE, "values", offsetof(TrieTable, root), 1000);
  expect_damage(BPF_MAP_TYPE_LPM_TRIE, "values", offsetof(TrieTable, never_used), 1u << 30);
  expect_damage(BPF_MAP_TYPE_LPM_TRIE, "values", offsetof(TrieTable, total), 3);
  // Node 1 its own child: the walk must end.
  expect_damage(BPF_MAP_TYPE_LPM_TRIE, "values", sizeof(TrieTable) + 0 * stride, 1ull << 32 | 1);
}

}  // namespace
}  // namespace sluice::bpf
