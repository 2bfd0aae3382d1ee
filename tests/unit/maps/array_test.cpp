#include "tests/unit/maps/map_fixture.hpp"

namespace sluice::bpf {
namespace {

TEST(ArrayMap, ErrorsAreLinuxsFromControlAndProgram) {
  for (uint32_t type : {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PERCPU_ARRAY}) {
    auto map = make(spec_of(type, 4, 8, 4, 2));
    uint32_t in = 3, out = 4;
    uint64_t value[2] = {1, 2};
    EXPECT_EQ(map->lookup(&out, value), -ENOENT);
    EXPECT_EQ(map->update(&in, value, BPF_NOEXIST), -EEXIST);
    EXPECT_EQ(map->update(&out, value, BPF_ANY), -E2BIG);
    EXPECT_EQ(map->update(&out, value, BPF_NOEXIST), -E2BIG);
    EXPECT_EQ(map->update(&in, value, 3), -EINVAL);
    EXPECT_EQ(map->update(&in, value, BPF_F_LOCK), -EINVAL);
    EXPECT_EQ(map->update(&in, value, BPF_EXIST), 0);
    EXPECT_EQ(map->erase(&in), -EINVAL);
    const MapCore* core = &map->core();
    EXPECT_EQ(map_lookup_elem(core, &out, 0), nullptr);
    EXPECT_NE(map_lookup_elem(core, &in, 0), nullptr);
    EXPECT_EQ(map_update_elem(core, &in, value, BPF_NOEXIST, 0), -EEXIST);
    EXPECT_EQ(map_update_elem(core, &out, value, BPF_ANY, 0), -E2BIG);
    EXPECT_EQ(map_update_elem(core, &in, value, 1ull << 40, 0), -EINVAL);
    EXPECT_EQ(map_delete_elem(core, &in), -EINVAL);
  }
}

TEST(ArrayMap, ControlAndProgramSeeTheSameValue) {
  for (uint32_t size : {1u, 2u, 3u, 7u, 8u, 9u, 63u, 64u, 65u, 200u}) {
    auto map = make(spec_of(BPF_MAP_TYPE_ARRAY, 4, size, 3));
    for (uint32_t index = 0; index < 3; index++) {
      Bytes value = key_of(index + 77, size), read(size);
      ASSERT_EQ(index == 1 ? map_update_elem(&map->core(), &index, value.data(), BPF_ANY, 0)
                           : map->update(&index, value.data(), BPF_ANY), 0);
      ASSERT_EQ(map->lookup(&index, read.data()), 0);
      EXPECT_EQ(read, value) << size;
      EXPECT_EQ(std::memcmp(map_lookup_elem(&map->core(), &index, 0), value.data(), size), 0);
    }
  }
}

TEST(ArrayMap, PlainArrayServesEverySlotWithOneCopy) {
  auto map = make(spec_of(BPF_MAP_TYPE_ARRAY, 4, 8, 2));
  uint32_t index = 1;
  EXPECT_EQ(map_lookup_elem(&map->core(), &index, 0), map_lookup_elem(&map->core(), &index, 5));
}

TEST(ArrayMap, PerCpuProgramWritesItsOwnSlotAlone) {
  auto map = make(spec_of(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 12, 3, 4));
  uint32_t index = 2;
  Bytes user(map->user_value_size(), 0x11), value(12, 0x22);
  ASSERT_EQ(map->update(&index, user.data(), BPF_ANY), 0);
  ASSERT_EQ(map_update_elem(&map->core(), &index, value.data(), BPF_ANY, 2), 0);
  ASSERT_EQ(map->lookup(&index, user.data()), 0);
  for (uint32_t slot = 0; slot < 4; slot++) {
    Bytes expected(12, slot == 2 ? 0x22 : 0x11);
    EXPECT_EQ(Bytes(user.begin() + slot * 16, user.begin() + slot * 16 + 12), expected) << slot;
  }
  EXPECT_EQ(map_lookup_elem(&map->core(), &index, 4), nullptr);
  EXPECT_EQ(map_update_elem(&map->core(), &index, value.data(), BPF_ANY, 4), -EINVAL);
  uint32_t neighbour = 1;
  ASSERT_EQ(map->lookup(&neighbour, user.data()), 0);
  EXPECT_EQ(user, Bytes(user.size(), 0));
}

TEST(ArrayMap, PerCpuCopiesLieOnTheirOwnCacheLines) {
  auto map = make(spec_of(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 3, 2));
  uint32_t index = 1;
  auto* a = static_cast<uint8_t*>(map_lookup_elem(&map->core(), &index, 0));
  auto* b = static_cast<uint8_t*>(map_lookup_elem(&map->core(), &index, 1));
  EXPECT_GE(b - a, 64);
}

TEST(ArrayMap, NextKeyWalksAllAndStartsAnewOnAnUnknownKey) {
  auto map = make(spec_of(BPF_MAP_TYPE_ARRAY, 4, 8, 3));
  uint32_t next = 99;
  ASSERT_EQ(map->next_key(nullptr, &next), 0);
  for (uint32_t index = 0; index < 2; index++) {
    EXPECT_EQ(next, index);
    ASSERT_EQ(map->next_key(&index, &next), 0);
  }
  EXPECT_EQ(next, 2u);
  EXPECT_EQ(map->next_key(&next, &next), -ENOENT);
  uint32_t unknown = 0xffffffff;
  ASSERT_EQ(map->next_key(&unknown, &next), 0);
  EXPECT_EQ(next, 0u);
}

}  // namespace
}  // namespace sluice::bpf
