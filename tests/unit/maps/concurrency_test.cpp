// Workers (map_ops) and control threads (Map) on one map at once. Run with -Db_sanitize=thread too.
#include <atomic>
#include <functional>
#include <random>
#include <thread>

#include "tests/unit/maps/map_fixture.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kWords = 256;  // long enough to be reused in the middle of a copy
constexpr int kRounds = 160000;
constexpr int kMixRounds = 40000;

struct Checked {
  uint64_t words[kWords];
};

Checked checked(uint64_t key, uint64_t number) {
  Checked value{};
  value.words[0] = key;
  value.words[kWords - 1] = key ^ number;
  for (uint32_t i = 1; i < kWords - 1; i++) {
    value.words[i] = number * i;
    value.words[kWords - 1] ^= value.words[i];
  }
  return value;
}

bool whole(const Checked& value, uint64_t key) {
  return value.words[0] == key &&
         std::memcmp(&value, checked(key, value.words[1]).words, sizeof value) == 0;
}

void run_together(const std::vector<std::function<void(uint32_t)>>& bodies) {
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < bodies.size(); i++) threads.emplace_back(bodies[i], i);
  for (std::thread& thread : threads) thread.join();
}

uint64_t walk(Map& map, uint64_t limit) {
  uint64_t key, count = 0;
  for (int error = map.next_key(nullptr, &key); error == 0 && count < limit; count++)
    error = map.next_key(&key, &key);
  return count;
}

// A worker's mix; values are checked where the control thread copies them, since a program's own
// reads may see reuse.
void worker_mix(const MapCore* core, uint32_t slot, uint32_t keys, std::atomic<uint64_t>& wrong) {
  std::mt19937_64 random(slot + 1);
  for (int i = 0; i < kMixRounds; i++) {
    uint64_t key = random() % keys;
    long error = 0;
    switch (random() % 4) {
      case 0: {
        Checked value = checked(key, random());
        error = map_update_elem(core, &key, &value, random() % 3, slot, slot);
        break;
      }
      case 1: error = map_delete_elem(core, &key, slot); break;
      default:
        if (void* value = map_lookup_elem(core, &key, slot); value != nullptr) (void)word_at(value);
    }
    bool usual =
        error == 0 || error == -ENOENT || error == -EEXIST || error == -EBUSY || error == -E2BIG;
    if (!usual) wrong++;
  }
}

void control_mix(Map& map, uint32_t keys, std::atomic<uint64_t>& wrong) {
  std::mt19937_64 random(99);
  for (int i = 0; i < kMixRounds; i++) {
    uint64_t key = random() % keys;
    Checked value = checked(key, random());
    int error = 0;
    switch (random() % 8) {
      case 0: error = map.update(&key, &value, BPF_ANY); break;
      case 1: error = map.erase(&key); break;
      case 2:
        if (i % 500 == 0) walk(map, 10 * keys);
        break;
      default:
        error = map.lookup(&key, &value);
        if (error == 0 && !whole(value, key)) wrong++;
    }
    if (error != 0 && error != -ENOENT && error != -E2BIG) wrong++;
  }
}

TEST(HashMapConcurrently, ControlNeverSeesATornValueAndTheCountIsExact) {
  // Few keys: one contended bucket; more keys than places: a full map, and reuse at once.
  for (uint32_t keys : {4u, 100u, 1000u}) {
    auto map = make(spec_of(BPF_MAP_TYPE_HASH, 8, sizeof(Checked), keys == 4 ? 4 : keys / 2));
    std::atomic<uint64_t> wrong{0};
    auto worker = [&](uint32_t slot) { worker_mix(&map->core(), slot, keys, wrong); };
    auto control = [&](uint32_t) { control_mix(*map, keys, wrong); };
    run_together({worker, worker, control, control});
    EXPECT_EQ(wrong, 0u);
    EXPECT_EQ(walk(*map, UINT64_MAX), map->entries());
    EXPECT_LE(map->entries(), map->spec().max_entries);
    // No element was lost: the map still fills to the last place.
    uint64_t key = 0;
    while (map->next_key(nullptr, &key) == 0) ASSERT_EQ(map->erase(&key), 0);
    ASSERT_EQ(map->entries(), 0u);
    for (key = 0; key < map->spec().max_entries; key++) {
      Checked value = checked(key, key);
      ASSERT_EQ(map_update_elem(&map->core(), &key, &value, BPF_NOEXIST, 0), 0);
    }
  }
}

TEST(HashMapConcurrently, APresentKeyIsAlwaysFoundWhileItIsReplaced) {
  auto map = make(spec_of(BPF_MAP_TYPE_HASH, 8, 8, 64));
  uint64_t value = 0;
  for (uint64_t key = 0; key < 16; key++) ASSERT_EQ(map->update(&key, &value, BPF_ANY), 0);
  std::atomic<uint64_t> missed{0}, wrong{0};
  auto replace = [&](uint32_t) {
    for (uint64_t i = 0; i < kRounds; i++) {
      uint64_t key = i % 16, number = i;
      long error = map_update_elem(&map->core(), &key, &number, BPF_EXIST, 0);
      if (error != 0 && error != -EBUSY) wrong++;
    }
  };
  auto look = [&](uint32_t thread) {
    uint64_t read;
    for (uint64_t i = 0; i < kRounds; i++) {
      uint64_t key = i % 16;
      bool found = thread == 1 ? map_lookup_elem(&map->core(), &key, 1) != nullptr
                               : map->lookup(&key, &read) == 0;
      if (!found) missed++;
    }
  };
  run_together({replace, look, look});
  EXPECT_EQ(missed, 0u);
  EXPECT_EQ(wrong, 0u);
}

TEST(HashMapConcurrently, APerCpuKindKeepsEachWorkersCountExact) {
  for (uint32_t type : {BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_PERCPU_ARRAY}) {
    auto map = make(spec_of(type, 4, 8, 16, 3));
    std::atomic<uint64_t> wrong{0};
    auto count = [&](uint32_t slot) {
      for (int i = 0; i < kRounds; i++) {
        uint32_t key = static_cast<uint32_t>(i) % 16;
        void* value = map_lookup_elem(&map->core(), &key, slot);
        uint64_t next = (value != nullptr ? word_at(value) : 0) + 1;
        while (true) {  // a busy bucket is tried again, as a program may
          long error = map_update_elem(&map->core(), &key, &next, BPF_ANY, slot);
          if (error == 0) break;
          if (error != -EBUSY) wrong++;
        }
      }
    };
    auto read = [&](uint32_t) {
      uint64_t last[16][3] = {}, now[3];
      for (uint32_t i = 0; i < kRounds; i++) {
        uint32_t key = i % 16;
        if (map->lookup(&key, now) != 0) continue;
        for (int slot = 0; slot < 3; slot++) {
          if (now[slot] < last[key][slot]) wrong++;
          last[key][slot] = now[slot];
        }
      }
    };
    run_together({count, count, count, read});
    EXPECT_EQ(wrong, 0u);
    for (uint32_t key = 0; key < 16; key++) {
      uint64_t values[3];
      ASSERT_EQ(map->lookup(&key, values), 0);
      for (uint64_t value : values) EXPECT_EQ(value, static_cast<uint64_t>(kRounds / 16));
    }
  }
}

TEST(ArrayMapConcurrently, WordsAreWholeWhileAllWrite) {
  auto map = make(spec_of(BPF_MAP_TYPE_ARRAY, 4, 24, 4));
  std::atomic<uint64_t> wrong{0};
  auto write = [&](uint32_t thread) {
    std::mt19937 random(thread);
    for (int i = 0; i < kRounds; i++) {
      uint32_t index = random() % 4, byte = random() % 256;
      Bytes value(24, static_cast<uint8_t>(byte)), read(24);
      long error = thread == 0
                       ? map->update(&index, value.data(), BPF_ANY)
                       : map_update_elem(&map->core(), &index, value.data(), BPF_EXIST, thread);
      if (error != 0 || map->lookup(&index, read.data()) != 0) wrong++;
      for (int at = 0; at < 24; at++) {
        if (read[at] != read[at / 8 * 8]) wrong++;
      }
    }
  };
  run_together({write, write, write});
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace sluice::bpf
