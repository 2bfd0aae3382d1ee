#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <unordered_map>

#include "tests/unit/maps/map_fixture.hpp"

namespace sluice::bpf {
namespace {

TEST(HashMap, NoexistExistAndAnyAreLinuxsFromControlAndProgram) {
  for (uint32_t type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH}) {
    auto map = make(spec_of(type, 4, 8, 4, 2));
    const MapCore* core = &map->core();
    uint32_t key = 7;
    uint64_t value[2] = {1, 2};
    EXPECT_EQ(map->lookup(&key, value), -ENOENT);
    EXPECT_EQ(map->erase(&key), -ENOENT);
    EXPECT_EQ(map->update(&key, value, BPF_EXIST), -ENOENT);
    EXPECT_EQ(map->update(&key, value, BPF_NOEXIST), 0);
    EXPECT_EQ(map->update(&key, value, BPF_NOEXIST), -EEXIST);
    EXPECT_EQ(map->update(&key, value, BPF_EXIST), 0);
    EXPECT_EQ(map->update(&key, value, 3), -EINVAL);
    EXPECT_EQ(map->update(&key, value, BPF_F_LOCK), -EINVAL);
    EXPECT_EQ(map_update_elem(core, &key, value, BPF_NOEXIST, 0), -EEXIST);
    EXPECT_EQ(map_update_elem(core, &key, value, BPF_EXIST, 0), 0);
    EXPECT_EQ(map_update_elem(core, &key, value, 3, 0), -EINVAL);
    EXPECT_EQ(map->entries(), 1u);
    EXPECT_EQ(map_delete_elem(core, &key), 0);
    EXPECT_EQ(map_delete_elem(core, &key), -ENOENT);
    EXPECT_EQ(map_lookup_elem(core, &key, 0), nullptr);
    EXPECT_EQ(map_update_elem(core, &key, value, BPF_EXIST, 0), -ENOENT);
    EXPECT_EQ(map_update_elem(core, &key, value, BPF_NOEXIST, 0), 0);
    EXPECT_EQ(map->erase(&key), 0);
    EXPECT_EQ(map->entries(), 0u);
  }
}

TEST(HashMap, AFullMapRefusesNewKeysAndTakesOverwritesAndFreedPlaces) {
  for (uint32_t type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH}) {
    for (uint32_t capacity : {1u, 2u, 3u, 100u, 1000u}) {
      auto map = make(spec_of(type, 4, 8, capacity, 1));
      const MapCore* core = &map->core();
      uint64_t value = 5;
      for (uint32_t key = 0; key < capacity; key++)
        ASSERT_EQ(map->update(&key, &value, BPF_ANY), 0);
      uint32_t extra = capacity;
      EXPECT_EQ(map->update(&extra, &value, BPF_ANY), -E2BIG);
      EXPECT_EQ(map_update_elem(core, &extra, &value, BPF_ANY, 0), -E2BIG);
      EXPECT_EQ(map->full_errors(), 2u);
      for (int round = 0; round < 50; round++) {  // more often than there are spare elements
        value++;
        uint32_t key = 0;
        ASSERT_EQ(map->update(&key, &value, BPF_ANY), 0);
        ASSERT_EQ(map_update_elem(core, &key, &value, BPF_EXIST, 0), 0);
        ASSERT_EQ(map_update_elem(core, &key, &value, BPF_NOEXIST, 0), -EEXIST);
        ASSERT_EQ(map_delete_elem(core, &key), 0);
        ASSERT_EQ(map_update_elem(core, &extra, &value, BPF_NOEXIST, 0), 0);
        ASSERT_EQ(map->erase(&extra), 0);
        ASSERT_EQ(map->update(&key, &value, BPF_NOEXIST), 0);
      }
      EXPECT_EQ(map->entries(), capacity);
      EXPECT_EQ(map->full_errors(), 2u);
    }
  }
}

TEST(HashMap, AReplacedValueIsANewElementAndTheOldOneKeepsItsOwn) {
  auto map = make(spec_of(BPF_MAP_TYPE_HASH, 4, 8, 8));
  uint32_t key = 1;
  uint64_t value = 10;
  ASSERT_EQ(map->update(&key, &value, BPF_ANY), 0);
  void* old = map_lookup_elem(&map->core(), &key, 0);
  value = 11;
  ASSERT_EQ(map_update_elem(&map->core(), &key, &value, BPF_ANY, 0), 0);
  EXPECT_EQ(word_at(old), 10u);
  EXPECT_EQ(word_at(map_lookup_elem(&map->core(), &key, 0)), 11u);
}

TEST(HashMap, EveryKeySizeFindsItsOwnKeysAlone) {
  for (uint32_t size :
       {1u, 2u, 3u, 4u, 5u, 8u, 12u, 15u, 16u, 17u, 20u, 40u, 63u, 64u, 65u, 100u, 512u}) {
    uint32_t count = size == 1 ? 128 : 1000;
    auto map = make(spec_of(BPF_MAP_TYPE_HASH, size, 8, count));
    for (uint64_t i = 0; i < count; i++)
      ASSERT_EQ(map->update(key_of(i, size).data(), &i, BPF_NOEXIST), 0) << size;
    for (uint64_t i = 0; i < count; i++) {
      Bytes key = key_of(i, size);
      void* value = map_lookup_elem(&map->core(), key.data(), 0);
      ASSERT_NE(value, nullptr) << size;
      EXPECT_EQ(word_at(value), i);
    }
    EXPECT_EQ(map_lookup_elem(&map->core(), key_of(count, size).data(), 0), nullptr);
    for (uint32_t at = 0; at < size; at++) {  // every byte of the key counts
      Bytes key = key_of(3, size);
      key[at] ^= 0x80;
      void* found = map_lookup_elem(&map->core(), key.data(), 0);
      EXPECT_TRUE(found == nullptr || word_at(found) != 3) << size << " byte " << at;
    }
  }
}

TEST(HashMap, PerCpuProgramWritesItsOwnSlotAndOthersStartAtZero) {
  auto map = make(spec_of(BPF_MAP_TYPE_PERCPU_HASH, 8, 12, 2, 3));
  const MapCore* core = &map->core();
  Bytes user(map->user_value_size()), value(12, 0x33);
  uint64_t key = 42, other = 43;
  // Fill the elements once, so that the new one is made of used memory.
  for (int i = 0; i < 40; i++) {
    ASSERT_EQ(map->update(&other, Bytes(user.size(), 0xee).data(), BPF_ANY), 0);
    ASSERT_EQ(map->erase(&other), 0);
  }
  ASSERT_EQ(map_update_elem(core, &key, value.data(), BPF_ANY, 1), 0);
  ASSERT_EQ(map->lookup(&key, user.data()), 0);
  for (uint32_t slot = 0; slot < 3; slot++) {
    Bytes expected(12, slot == 1 ? 0x33 : 0);
    EXPECT_EQ(Bytes(user.begin() + slot * 16, user.begin() + slot * 16 + 12), expected) << slot;
  }
  value.assign(12, 0x44);
  void* place = map_lookup_elem(core, &key, 2);
  ASSERT_EQ(map_update_elem(core, &key, value.data(), BPF_EXIST, 2), 0);
  EXPECT_EQ(map_lookup_elem(core, &key, 2), place);
  ASSERT_EQ(map->lookup(&key, user.data()), 0);
  EXPECT_EQ(user[0], 0);
  EXPECT_EQ(user[16], 0x33);
  EXPECT_EQ(user[32], 0x44);
  EXPECT_EQ(map_lookup_elem(core, &key, 3), nullptr);
  EXPECT_EQ(map_update_elem(core, &key, value.data(), BPF_ANY, 3), -EINVAL);
}

TEST(HashMap, NextKeyWalkSeesEachKeyOnceAndEnds) {
  auto map = make(spec_of(BPF_MAP_TYPE_HASH, 4, 8, 100000));
  uint64_t value = 1;
  for (uint32_t key = 0; key < 100000; key++) ASSERT_EQ(map->update(&key, &value, BPF_ANY), 0);
  std::vector<bool> seen(100000);
  uint32_t key, count = 0;
  int error = map->next_key(nullptr, &key);
  for (; error == 0 && count <= 100000; count++) {
    ASSERT_LT(key, 100000u);
    ASSERT_FALSE(seen[key]);
    seen[key] = true;
    error = map->next_key(&key, &key);
  }
  EXPECT_EQ(error, -ENOENT);
  EXPECT_EQ(count, 100000u);
}

TEST(HashMap, NextKeyOfAnUnknownKeyIsTheFirstAndOfAnEmptyMapEnoent) {
  auto map = make(spec_of(BPF_MAP_TYPE_HASH, 4, 8, 16));
  uint32_t key = 1, unknown = 99, first, next;
  uint64_t value = 1;
  EXPECT_EQ(map->next_key(nullptr, &next), -ENOENT);
  EXPECT_EQ(map->next_key(&unknown, &next), -ENOENT);
  for (; key < 9; key++) ASSERT_EQ(map->update(&key, &value, BPF_ANY), 0);
  ASSERT_EQ(map->next_key(nullptr, &first), 0);
  ASSERT_EQ(map->next_key(&unknown, &next), 0);
  EXPECT_EQ(first, next);
}

// Every key in one bucket: lanes, list, unlinking from its head, middle and end, replacing on it.
TEST(HashMap, KeysThatShareABucketAllFit) {
  constexpr uint32_t kKeys = 60;
  MapSpec spec = spec_of(BPF_MAP_TYPE_HASH, 8, 8, 4096);
  auto map = make(spec);
  const MapCore* core = &map->core();
  std::vector<uint64_t> keys;
  for (uint64_t key = 0; keys.size() < kKeys; key++) {
    if ((hash_of(core, key_for(core, &key)) & core->bucket_mask) == 5) keys.push_back(key);
  }
  std::mt19937_64 random(3);
  std::unordered_map<uint64_t, uint64_t> model;
  for (int i = 0; i < 20000; i++) {
    uint64_t key = keys[random() % kKeys], value = random();
    if (random() % 2 == 0) {
      ASSERT_EQ(map_update_elem(core, &key, &value, BPF_ANY, 0), 0);
      model[key] = value;
    } else {
      ASSERT_EQ(map_delete_elem(core, &key), model.erase(key) ? 0 : -ENOENT);
    }
    ASSERT_EQ(map->entries(), model.size());
    if (i % 50 != 0) continue;
    for (uint64_t k : keys) {
      void* found = map_lookup_elem(core, &k, 0);
      ASSERT_EQ(found != nullptr, model.contains(k));
      if (found != nullptr) {
        ASSERT_EQ(word_at(found), model[k]);
      }
    }
    std::set<uint64_t> walked;
    for (int error = map->next_key(nullptr, &key); error == 0; error = map->next_key(&key, &key)) {
      ASSERT_TRUE(walked.insert(key).second && model.contains(key));
    }
    ASSERT_EQ(walked.size(), model.size());
  }
}

TEST(HashMap, AgreesWithAModelOverRandomOperations) {
  constexpr uint32_t kCapacity = 3000, kKeys = 4000, kSize = 20;
  auto map = make(spec_of(BPF_MAP_TYPE_HASH, kSize, 24, kCapacity));
  const MapCore* core = &map->core();
  std::unordered_map<std::string, uint64_t> model;
  std::mt19937_64 random(12345);
  uint64_t full = 0;
  for (int i = 0; i < 200000; i++) {
    Bytes key = key_of(random() % kKeys, kSize);
    std::string name(key.begin(), key.end());
    bool present = model.contains(name), by_program = random() % 2 == 0;
    uint64_t value[3] = {random(), 0, 0}, flags = random() % 3;
    switch (random() % 4) {
      case 0:
      case 1: {
        long expected = present                     ? (flags == BPF_NOEXIST ? -EEXIST : 0)
                        : flags == BPF_EXIST        ? -ENOENT
                        : model.size() >= kCapacity ? -E2BIG
                                                    : 0;
        value[2] = value[0] * 3;
        ASSERT_EQ(by_program ? map_update_elem(core, key.data(), value, flags, 0)
                             : map->update(key.data(), value, flags),
                  expected)
            << i;
        if (expected == 0) model[name] = value[0];
        full += expected == -E2BIG;
        break;
      }
      case 2:
        if (random() % 3 != 0) break;  // fewer deletes than inserts, so that the map fills
        ASSERT_EQ(by_program ? map_delete_elem(core, key.data()) : map->erase(key.data()),
                  present ? 0 : -ENOENT);
        model.erase(name);
        break;
      default: {
        auto* found = static_cast<uint64_t*>(map_lookup_elem(core, key.data(), 0));
        ASSERT_EQ(found != nullptr, present);
        ASSERT_EQ(map->lookup(key.data(), value), present ? 0 : -ENOENT);
        if (present) {
          ASSERT_EQ(found[0], model[name]);
          ASSERT_EQ(value[0], model[name]);
          ASSERT_EQ(value[2], model[name] * 3);
        }
      }
    }
    ASSERT_EQ(map->entries(), model.size());
  }
  EXPECT_EQ(map->full_errors(), full);
  EXPECT_GT(full, 0u);
}

// Workers count apart until the map is nearly full; taken in turn, they never lose or gain an
// element.
TEST(HashMap, WorkersCountApartAndTheCountStaysExact) {
  constexpr uint32_t kCapacity = 1000;
  const uint32_t writers[] = {0, 1, 2, 3, kNoWorker};
  auto map = make(spec_of(BPF_MAP_TYPE_HASH, 4, 8, kCapacity));
  const MapCore* core = &map->core();
  ASSERT_GE(core->magazines_count, 4u);
  std::mt19937 random(17);
  std::set<uint32_t> model;
  uint64_t refused = 0;
  const uint64_t value = 1;
  for (int i = 0; i < 400'000; i++) {
    const uint32_t writer = writers[random() % std::size(writers)];
    const uint32_t key = random() % (2 * kCapacity);
    // Fills it and empties it by turns.
    if (random() % 4 < (i / 20'000 % 2 == 0 ? 3 : 1)) {
      const bool room = model.contains(key) || model.size() < kCapacity;
      ASSERT_EQ(map_update_elem(core, &key, &value, BPF_ANY, 0, writer), room ? 0 : -E2BIG);
      if (room) model.insert(key);
      refused += room ? 0 : 1;
    } else {
      ASSERT_EQ(map_delete_elem(core, &key, writer), model.erase(key) == 1 ? 0 : -ENOENT);
    }
    ASSERT_EQ(map->entries(), model.size());
  }
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(map->full_errors(), refused);
}

// Sequential and strided keys, as a scan or a flood makes them, must fill buckets as random ones
// would: with 4 a bucket on average, 20 in one has a chance of about 1e-8.
TEST(HashMap, PatternedKeysSpreadOverTheBuckets) {
  constexpr uint32_t kCount = 1u << 16, kBuckets = kCount / 4;
  for (uint32_t size : {4u, 8u, 12u, 16u, 20u, 40u}) {
    for (uint64_t stride : {1ull, 256ull, 65536ull, 1ull << 32, 1ull << 47}) {
      if (size < 8 && stride > 65536) continue;
      auto map = make(spec_of(BPF_MAP_TYPE_HASH, size, 8, kCount));
      ASSERT_EQ(map->core().bucket_mask, kBuckets - 1);
      std::vector<uint32_t> load(kBuckets), tags(256);
      for (uint64_t i = 0; i < kCount; i++) {
        uint64_t hash =
            hash_of(&map->core(), key_for(&map->core(), key_of(i * stride, size).data()));
        load[hash & map->core().bucket_mask]++;
        tags[tag_of(hash) >> 8]++;
      }
      EXPECT_LT(*std::max_element(load.begin(), load.end()), 20u) << size << " stride " << stride;
      EXPECT_LT(*std::max_element(tags.begin(), tags.end()), 400u)
          << size << " stride " << stride;  // 256 on average
    }
  }
}

}  // namespace
}  // namespace sluice::bpf
