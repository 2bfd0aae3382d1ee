// Batches, LOOKUP_AND_DELETE and BPF_F_LOCK on the control side.
#include <map>
#include <set>

#include "tests/unit/maps/map_fixture.hpp"

namespace sluice::bpf {
namespace {

constexpr int kNotSupported = 524;

struct Drained {
  std::multimap<uint32_t, uint64_t> elements;
  int error = 0;
  uint32_t calls = 0;
};

// Calls with `room` until the end; the room grows where a bucket does not fit, as a client does.
Drained drain(Map& map, uint32_t room, bool and_erase) {
  Drained drained;
  std::vector<uint8_t> token(8), keys(size_t{map.spec().max_entries} * 4);
  std::vector<uint64_t> values(map.spec().max_entries);
  bool first = true;
  while (drained.error == 0 && drained.calls++ < 100000) {
    Batch batch{first ? nullptr : token.data(), token.data(), keys.data(), values.data(), room};
    drained.error = map.lookup_batch(batch, and_erase);
    first = false;
    for (uint32_t i = 0; i < batch.count; i++) {
      uint32_t key;
      std::memcpy(&key, keys.data() + i * 4, 4);
      drained.elements.emplace(key, values[i]);
    }
    if (drained.error == -ENOSPC && room < map.spec().max_entries) {
      drained.error = 0;
      room *= 2;
    }
  }
  return drained;
}

TEST(Batch, EveryElementComesOnceWhateverTheRoom) {
  for (uint32_t type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY}) {
    for (uint32_t room : {1u, 3u, 16u, 500u}) {
      auto map = make(spec_of(type, 4, 8, 300));
      std::multimap<uint32_t, uint64_t> expected;
      for (uint32_t key = 0; key < 300; key++) {
        uint64_t value = key * 7 + 1;
        ASSERT_EQ(map->update(&key, &value, BPF_ANY), 0);
        expected.emplace(key, value);
      }
      Drained drained = drain(*map, room, false);
      EXPECT_EQ(drained.error, -ENOENT);
      EXPECT_EQ(drained.elements, expected) << type << " room " << room;
      if (type == BPF_MAP_TYPE_ARRAY) continue;
      drained = drain(*map, room, true);
      EXPECT_EQ(drained.elements, expected);
      EXPECT_EQ(map->entries(), 0u);
    }
  }
}

TEST(Batch, WhatATypeLacksIsNotSupported) {
  auto map = make(spec_of(BPF_MAP_TYPE_ARRAY, 4, 8, 3));
  Batch batch;
  batch.count = 5;
  EXPECT_EQ(map->lookup_batch(batch, true), -kNotSupported);
  EXPECT_EQ(batch.count, 0u);
  batch.element_flags = BPF_F_LOCK;
  EXPECT_EQ(map->lookup_batch(batch, false), -EINVAL);
}

TEST(Batch, PerCpuValuesComeWithAllTheirCopies) {
  auto map = make(spec_of(BPF_MAP_TYPE_PERCPU_HASH, 4, 4, 8, 3));
  uint32_t key = 5;
  uint64_t value[3] = {1, 2, 3}, read[24] = {}, token;
  ASSERT_EQ(map->update(&key, value, BPF_ANY), 0);
  uint32_t keys[8];
  Batch batch{nullptr, &token, keys, read, 8};
  EXPECT_EQ(map->lookup_batch(batch, true), -ENOENT);
  EXPECT_EQ(batch.count, 1u);
  EXPECT_EQ(keys[0], 5u);
  EXPECT_EQ(std::memcmp(read, value, sizeof value), 0);
}

TEST(LookupAndErase, GivesTheValueAndTakesTheElement) {
  for (uint32_t type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH}) {
    auto map = make(spec_of(type, 4, 8, 4, 2));
    uint32_t key = 9;
    uint64_t value[2] = {4, 5}, read[2] = {};
    EXPECT_EQ(map->lookup_and_erase(&key, read, 0), -ENOENT);
    ASSERT_EQ(map->update(&key, value, BPF_ANY), 0);
    EXPECT_EQ(map->lookup_and_erase(&key, read, BPF_F_LOCK), -EINVAL);
    EXPECT_EQ(map->lookup_and_erase(&key, read, 0), 0);
    EXPECT_EQ(read[0], 4u);
    EXPECT_EQ(map->entries(), 0u);
    EXPECT_EQ(map->lookup_and_erase(&key, read, 0), -ENOENT);
  }
  uint32_t key = 0;
  uint64_t read;
  EXPECT_EQ(make(spec_of(BPF_MAP_TYPE_ARRAY, 4, 8, 4))->lookup_and_erase(&key, &read, 0),
            -kNotSupported);
}

struct Locked {
  uint32_t head, lock;
  uint64_t body[2];
};

TEST(SpinLock, ValuesAreCopiedAroundTheLock) {
  for (uint32_t type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY}) {
    for (int32_t offset : {0, 4, 8, 20}) {
      MapSpec spec = spec_of(type, 4, sizeof(Locked), 4);
      spec.spin_lock_offset = offset;
      auto map = make(spec);
      uint32_t key = 1;
      Bytes in(sizeof(Locked), 0x77), out(sizeof(Locked)), expected = in;
      std::memset(expected.data() + offset, 0, 4);
      ASSERT_EQ(map->update(&key, in.data(), BPF_ANY), 0);
      auto* value = static_cast<uint8_t*>(map_lookup_elem(&map->core(), &key, 0));
      auto* lock = reinterpret_cast<uint32_t*>(value + offset);
      EXPECT_EQ(*lock, 0u);  // the user's bytes there are not taken
      for (uint64_t flags : {uint64_t{0}, uint64_t{BPF_F_LOCK}}) {
        ASSERT_EQ(map->lookup(&key, out.data(), flags), 0);
        EXPECT_EQ(out, expected);
      }
      spin_lock(lock);
      ASSERT_EQ(map->lookup(&key, out.data(), 0), 0);
      EXPECT_EQ(out, expected) << "a held lock reads 0";
      if (type == BPF_MAP_TYPE_ARRAY) {
        ASSERT_EQ(map_update_elem(&map->core(), &key, in.data(), BPF_ANY, 0), 0);
        EXPECT_EQ(*lock, 1u) << "a copy does not open a held lock";
      }
      spin_unlock(lock);
      std::fill(in.begin(), in.end(), 0x78);
      ASSERT_EQ(map->update(&key, in.data(), BPF_F_LOCK), 0);
      EXPECT_EQ(static_cast<void*>(value), map_lookup_elem(&map->core(), &key, 0)) << "in place";
      EXPECT_EQ(value[(offset + 4) % sizeof(Locked)], 0x78);
      EXPECT_EQ(map->update(&key, in.data(), BPF_F_LOCK | BPF_NOEXIST), -EEXIST);
    }
  }
}

TEST(SpinLock, AnElementThatIsErasedUnderAHeldLockIsGivenToo) {
  MapSpec spec = spec_of(BPF_MAP_TYPE_HASH, 4, sizeof(Locked), 4);
  spec.spin_lock_offset = offsetof(Locked, lock);
  auto map = make(spec);
  const uint32_t key = 1;
  const Locked in{7, 0, {8, 9}};
  for (const bool batched : {false, true}) {
    ASSERT_EQ(map->update(&key, &in, BPF_ANY), 0);
    auto* value = static_cast<Locked*>(map_lookup_elem(&map->core(), &key, 0));
    spin_lock(&value->lock);
    Locked out{};
    uint32_t found = 0, token = 0;
    if (batched) {
      Batch batch{.out = &token, .keys = &found, .values = &out, .count = 1};
      batch.element_flags = BPF_F_LOCK;
      EXPECT_EQ(map->lookup_batch(batch, true), -ENOENT);
      EXPECT_EQ(batch.count, 1u);
    } else {
      EXPECT_EQ(map->lookup_and_erase(&key, &out, BPF_F_LOCK), 0);
    }
    spin_unlock(&value->lock);
    EXPECT_EQ(out.body[1], 9u);
    EXPECT_EQ(map->entries(), 0u);
  }
}

TEST(SpinLock, FlagNeedsALockInTheValue) {
  for (uint32_t type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY}) {
    auto map = make(spec_of(type, 4, 8, 4));
    uint32_t key = 1;
    uint64_t value = 0;
    EXPECT_EQ(map->update(&key, &value, BPF_F_LOCK), -EINVAL);
    EXPECT_EQ(map->lookup(&key, &value, BPF_F_LOCK), -EINVAL);
    EXPECT_EQ(map->lookup(&key, &value, BPF_EXIST), -EINVAL);
  }
  MapSpec spec = spec_of(BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 4);
  spec.spin_lock_offset = 0;
  expect_refused(spec, EOPNOTSUPP, "bpf_spin_lock");
  spec.type = BPF_MAP_TYPE_HASH;
  for (int32_t offset : {2, 8, 1000}) {
    spec.spin_lock_offset = offset;
    expect_refused(spec, EINVAL, "bpf_spin_lock at byte");
  }
}

}  // namespace
}  // namespace sluice::bpf
