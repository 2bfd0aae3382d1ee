// Workers and control threads on one map of each type at once, against values that carry their own
// checksum. Run with -Db_sanitize=thread too. The types that refer to something else:
// stress_types_test.cpp; the ring buffer: ring_test.cpp.
#include <atomic>
#include <chrono>
#include <functional>
#include <random>
#include <thread>

#include "bpf/maps/spin_lock.hpp"
#include "tests/unit/maps/map_fixture.hpp"
#include "tests/unit/maps/stress_time.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kWords = 24;
constexpr uint32_t kSlots = 3;

struct Row {
  const char* name;
  uint32_t type;
  uint32_t key_size, max_entries, keys;
  bool whole;      // a value that the control thread copies is whole
  bool counted = true;  // entries() is exact, and elements come and go
};

const Row kRows[] = {
    {"hash", BPF_MAP_TYPE_HASH, 8, 64, 100, true},
    {"hash_one_bucket", BPF_MAP_TYPE_HASH, 8, 4, 12, true},
    {"percpu_hash", BPF_MAP_TYPE_PERCPU_HASH, 8, 64, 100, false},
    {"lru_hash", BPF_MAP_TYPE_LRU_HASH, 8, 64, 300, true},
    {"lru_percpu_hash", BPF_MAP_TYPE_LRU_PERCPU_HASH, 8, 64, 300, false},
    {"lpm_trie", BPF_MAP_TYPE_LPM_TRIE, 12, 64, 100, true},
    {"array", BPF_MAP_TYPE_ARRAY, 4, 16, 16, false, false},
    {"percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 16, 16, false, false},
    {"queue", BPF_MAP_TYPE_QUEUE, 0, 64, 100, true},
    {"stack", BPF_MAP_TYPE_STACK, 0, 64, 100, true},
};

using Value = std::array<uint64_t, kWords>;

// Every word follows from the key and a number.
Value value_of(uint64_t key, uint64_t number) {
  Value value;
  value[0] = key;
  value[1] = number;
  for (uint32_t i = 2; i < kWords; i++) value[i] = (key + 1) * 0x9e3779b97f4a7c15ull ^ number * i;
  return value;
}

struct Key {
  uint8_t bytes[16] = {};
};

Key key_for(const Row& row, uint64_t number) {
  Key key;
  if (row.type != BPF_MAP_TYPE_LPM_TRIE) {
    std::memcpy(key.bytes, &number, row.key_size < 8 ? row.key_size : 8);
    return key;
  }
  const auto bits = static_cast<uint32_t>(number % 25);  // nested prefixes and forks
  std::memcpy(key.bytes, &bits, 4);
  for (uint32_t bit = 0; bit < bits; bit++) {
    if ((number / 25 * 5 >> (bit % 4) & 1) != 0)
      key.bytes[4 + bit / 8] |= static_cast<uint8_t>(0x80 >> bit % 8);
  }
  return key;
}

class Stress : public testing::TestWithParam<Row> {
 protected:
  Stress() : row_(GetParam()) {
    MapSpec spec = spec_of(row_.type, row_.key_size, sizeof(Value), row_.max_entries,
                           is_per_cpu(row_.type) ? kSlots : 1);
    if (row_.type == BPF_MAP_TYPE_LPM_TRIE) spec.flags = BPF_F_NO_PREALLOC;
    map_ = make(spec);
    end_ = stress_end();
  }

  void expect(bool good) {
    if (!good) wrong_++;
  }
  static bool usual(long error) {
    return error == 0 || error == -ENOENT || error == -EEXIST || error == -EBUSY ||
           error == -E2BIG || error == -ENOSPC || error == -ENOMEM;
  }

  // Of the key that was asked for, or of any where the type has none or matches prefixes.
  void check_value(const uint64_t* value, uint64_t key) {
    const bool any_key = row_.key_size == 0 || row_.type == BPF_MAP_TYPE_LPM_TRIE;
    if (row_.whole) {
      const Value expected = value_of(any_key ? value[0] : key, value[1]);
      expect(std::memcmp(value, expected.data(), sizeof expected) == 0);
    } else {
      for (uint32_t slot = 0; slot < map_->core().slots; slot++) {
        const uint64_t first = value[slot * kWords];
        // never written, or of a slot that another program made
        expect(first == key || first == 0);
      }
    }
  }

  void worker(uint32_t slot) {
    const MapCore* core = &map_->core();
    std::mt19937_64 random(slot + 1);
    while (std::chrono::steady_clock::now() < end_) {
      for (int i = 0; i < 200; i++)
        row_.key_size == 0 ? worker_queue(core, random) : worker_keyed(core, slot, random);
    }
  }

  void worker_keyed(const MapCore* core, uint32_t slot, std::mt19937_64& random) {
    const uint64_t number = random() % row_.keys;
    const Key key = key_for(row_, number);
    switch (random() % 4) {
      case 0: {
        const Value value = value_of(number, random());
        expect(usual(map_update_elem(core, key.bytes, value.data(), random() % 3, slot, slot)));
        break;
      }
      case 1:
        if (row_.counted) expect(usual(map_delete_elem(core, key.bytes, slot)));
        break;
      default:
        if (void* value = map_lookup_elem(core, key.bytes, slot); value != nullptr)
          (void)word_at(value);
    }
  }

  void worker_queue(const MapCore* core, std::mt19937_64& random) {
    Value value = value_of(random(), random());
    if (random() % 2 == 0) {
      expect(usual(map_push_elem(core, value.data(), random() % 2 == 0 ? BPF_EXIST : BPF_ANY)));
    } else {
      const bool pop = random() % 2 == 0;
      const long error = pop ? map_pop_elem(core, value.data()) : map_peek_elem(core, value.data());
      expect(usual(error));
      if (error == 0) check_value(value.data(), 0);
    }
  }

  void control(uint32_t seed) {
    std::mt19937_64 random(seed);
    std::vector<uint64_t> values(size_t{row_.max_entries} * kSlots * kWords),
        keys(row_.max_entries * 2);
    while (std::chrono::steady_clock::now() < end_) {
      for (int i = 0; i < 100; i++) {
        const uint64_t number = random() % row_.keys;
        const Key key = key_for(row_, number);
        const void* at = row_.key_size == 0 ? nullptr : key.bytes;
        const uint32_t what = static_cast<uint32_t>(random() % 8);
        int error = 0;
        if (what < 2) {
          Value value = value_of(number, random());
          for (uint32_t slot = 0; slot < kSlots; slot++) {
            std::memcpy(&values[slot * kWords], value.data(), sizeof value);
          }
          error = map_->update(at, values.data(), BPF_ANY);
        } else if (what < 4 && row_.counted && row_.type != BPF_MAP_TYPE_LPM_TRIE) {
          error = map_->lookup_and_erase(at, values.data(), 0);
          if (error == 0) check_value(values.data(), number);
        } else if (what == 4 && row_.type == BPF_MAP_TYPE_LPM_TRIE) {
          error = map_->erase(at);
        } else {
          error = map_->lookup(at, values.data());
          if (error == 0) check_value(values.data(), number);
        }
        expect(usual(error));
      }
      if (row_.key_size != 0) iterate(values, keys, random() % 8 == 0);
    }
  }

  void iterate(std::vector<uint64_t>& values, std::vector<uint64_t>& keys, bool and_erase) {
    Key key, next;
    int error = map_->next_key(nullptr, next.bytes);
    for (uint32_t steps = 0; error == 0 && steps < 10 * row_.max_entries; steps++) {
      key = next;
      error = map_->next_key(key.bytes, next.bytes);
    }
    expect(usual(error));
    uint64_t token[4];
    Batch batch{nullptr, token, keys.data(), values.data(), row_.max_entries};
    const BatchSupport support = batch_support(row_.type);
    error = map_->lookup_batch(batch, and_erase && support.lookup_and_erase);
    expect(error == 0 || error == -ENOENT || error == -ENOSPC || error == -EBUSY);
    const uint32_t stride = map_->user_value_size() / 8;
    for (uint32_t i = 0; i < batch.count && row_.whole; i++) {
      const uint64_t* value = values.data() + size_t{i} * stride;
      check_value(value, row_.type == BPF_MAP_TYPE_LPM_TRIE ? 0 : keys[i]);
    }
  }

  // Nothing was lost: what is walked is what is counted, and an emptied map takes all that it has
  // places for.
  void check_at_rest() {
    Key key;
    uint64_t count = 0;
    Value value{};
    if (row_.key_size == 0) {
      while (map_->lookup_and_erase(nullptr, value.data(), 0) == 0) count++;
      EXPECT_LE(count, row_.max_entries);
      for (uint32_t i = 0; i < row_.max_entries; i++)
        ASSERT_EQ(map_->update(nullptr, value.data(), BPF_ANY), 0);
      EXPECT_EQ(map_->update(nullptr, value.data(), BPF_ANY), -E2BIG);
      return;
    }
    const uint64_t entries = map_->entries();
    for (int error = map_->next_key(nullptr, key.bytes); error == 0;
         error = map_->next_key(key.bytes, key.bytes)) {
      count++;
    }
    EXPECT_EQ(count, entries);
    while (map_->next_key(nullptr, key.bytes) == 0) ASSERT_EQ(map_->erase(key.bytes), 0);
    EXPECT_EQ(map_->entries(), 0u);
    for (uint32_t i = 0; i < row_.max_entries; i++) {
      Key fresh;
      const uint32_t bits = 32;
      std::memcpy(fresh.bytes, row_.type == BPF_MAP_TYPE_LPM_TRIE ? &bits : &i, 4);
      std::memcpy(fresh.bytes + 4, &i, 4);
      ASSERT_EQ(map_update_elem(&map_->core(), fresh.bytes, value.data(), BPF_NOEXIST, 0), 0) << i;
    }
    EXPECT_EQ(map_->entries(), row_.max_entries);
  }

  const Row& row_;
  std::shared_ptr<Map> map_;
  std::chrono::steady_clock::time_point end_;
  std::atomic<uint64_t> wrong_{0};
};

TEST_P(Stress, NothingIsTornLostOrMiscounted) {
  std::vector<std::thread> threads;
  for (uint32_t slot : {1u, 2u}) threads.emplace_back([this, slot] { worker(slot); });
  for (uint32_t seed : {101u, 102u}) threads.emplace_back([this, seed] { control(seed); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong_, 0u);
  if (row_.counted) check_at_rest();
}

INSTANTIATE_TEST_SUITE_P(EveryType, Stress, testing::ValuesIn(kRows),
                         [](const auto& info) { return std::string(info.param.name); });

// Programs and the control thread change a value under its bpf_spin_lock: nobody who holds it sees
// a half.
TEST(SpinLockConcurrently, HoldersSeeWholeValues) {
  struct Locked {
    uint64_t words[8];
    uint32_t lock, unused;
  };
  for (uint32_t type : {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH}) {
    MapSpec spec = spec_of(type, 4, sizeof(Locked), 2);
    spec.spin_lock_offset = offsetof(Locked, lock);
    auto map = make(spec);
    uint32_t key = 1;
    Locked start{};
    ASSERT_EQ(map->update(&key, &start, BPF_ANY), 0);
    std::atomic<uint64_t> wrong{0};
    const auto same = [](const uint64_t* words) {
      for (int i = 1; i < 8; i++) {
        if (words[i] != words[0]) return false;
      }
      return true;
    };
    const auto program = [&](uint64_t seed) {
      auto* value = static_cast<Locked*>(map_lookup_elem(&map->core(), &key, 0));
      for (uint64_t i = 0; i < 20000; i++) {
        uint64_t words[8];
        spin_lock(&value->lock);
        for (int at = 0; at < 8; at++) words[at] = load_word(value->words, at * 8);
        for (int at = 0; at < 8; at++) store_word(value->words, at * 8, seed + i);
        spin_unlock(&value->lock);
        if (!same(words)) wrong++;
      }
    };
    const auto control = [&] {
      for (uint64_t i = 0; i < 20000; i++) {
        Locked value{};
        for (uint64_t& word : value.words) word = i;
        const int error = i % 2 == 0 ? map->update(&key, &value, BPF_F_LOCK)
                                     : map->lookup(&key, &value, BPF_F_LOCK);
        if (error != 0 || !same(value.words) || value.lock != 0) wrong++;
      }
    };
    std::thread a(program, 1u << 20), b(program, 1u << 30), c(control);
    a.join();
    b.join();
    c.join();
    EXPECT_EQ(wrong, 0u) << type;
  }
}

// Inner maps are swapped under programs that read them.
TEST(MapInMapConcurrently, ProgramsAlwaysFindOneOfTheInnerMaps) {
  for (uint32_t type : {BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS}) {
    std::vector<std::shared_ptr<Map>> inner;
    for (uint64_t i = 0; i < 3; i++) {
      inner.push_back(make(spec_of(BPF_MAP_TYPE_ARRAY, 4, 8, 1)));
      uint32_t zero = 0;
      const uint64_t number = 100 + i;
      ASSERT_EQ(inner.back()->update(&zero, &number, BPF_ANY), 0);
    }
    MapSpec spec = spec_of(type, 4, 4, 2);
    spec.inner = inner[0];
    auto outer = make(spec);
    const uint32_t key = 1;
    const auto put = [&](uint64_t i) {
      const auto& map = inner[i % 3];
      return outer->set_reference(
          &key, {map, &map->core(), static_cast<uint32_t>(i % 3), 0, map.get()}, BPF_ANY);
    };
    ASSERT_EQ(put(0), 0);
    std::atomic<bool> done{false};
    std::atomic<uint64_t> wrong{0};
    const auto program = [&] {
      while (!done) {
        const auto* core = static_cast<const MapCore*>(map_lookup_elem(&outer->core(), &key, 0));
        const uint32_t zero = 0;
        const void* value = core == nullptr ? nullptr : map_lookup_elem(core, &zero, 0);
        if (value == nullptr || word_at(value) < 100 || word_at(value) > 102) wrong++;
      }
    };
    std::thread a(program), b(program);
    for (uint64_t i = 0; i < 20000; i++) {
      uint32_t id = 99;
      if (put(i) != 0 || outer->lookup(&key, &id) != 0 || id != i % 3) wrong++;
    }
    done = true;
    a.join();
    b.join();
    EXPECT_EQ(wrong, 0u) << type;
  }
}

}  // namespace
}  // namespace sluice::bpf
