#include "bpf/maps/map_types.hpp"
#include "tests/unit/maps/map_fixture.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kAllTypes[] = {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_ARRAY,
                                  BPF_MAP_TYPE_PERCPU_HASH};

TEST(MapCreate, BadShapesAreNamedByFieldForEveryType) {
  for (uint32_t type : kAllTypes) {
    expect_refused(spec_of(type, 4, 0, 8), EINVAL, "value_size 0");
    expect_refused(spec_of(type, 0, 8, 8), EINVAL, "key_size 0");
    expect_refused(spec_of(type, 4, 8, 0), EINVAL, "max_entries 0");
    expect_refused(spec_of(type, 4, 8, 0xffffffff), E2BIG, "max_entries 4294967295");
    expect_refused(spec_of(type, 4, 0xfffffff8, 8), E2BIG, "value_size");
  }
  expect_refused(spec_of(BPF_MAP_TYPE_UNSPEC, 4, 8, 8), EINVAL, "map_type 0");
  expect_refused(spec_of(9999, 4, 8, 8), EINVAL, "map_type 9999");
}

TEST(MapCreate, ArrayKeyIsFourBytes) {
  expect_refused(spec_of(BPF_MAP_TYPE_ARRAY, 8, 8, 8), EINVAL, "key_size 8");
  expect_refused(spec_of(BPF_MAP_TYPE_PERCPU_ARRAY, 3, 8, 8), EINVAL, "key_size 3");
}

TEST(MapCreate, HashKeyAndValueAreBounded) {
  EXPECT_TRUE(Map::create(spec_of(BPF_MAP_TYPE_HASH, 5000, 8, 8)));
  expect_refused(spec_of(BPF_MAP_TYPE_HASH, 8, 4u << 20, 1), E2BIG, "value_size");
  expect_refused(spec_of(BPF_MAP_TYPE_HASH, 8, 1u << 20, 1u << 20), E2BIG, "max_entries");
  expect_refused(spec_of(BPF_MAP_TYPE_ARRAY, 4, 1u << 20, 1u << 20), E2BIG, "max_entries");
  expect_refused(spec_of(BPF_MAP_TYPE_PERCPU_HASH, 4, 32769, 2), E2BIG, "value_size 32769");
  expect_refused(spec_of(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 32769, 2), E2BIG, "value_size 32769");
}

TEST(MapCreate, PerCpuKindsNeedSlots) {
  expect_refused(spec_of(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 8, 0), EINVAL, "slots 0");
  expect_refused(spec_of(BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 8, 100000), EINVAL, "slots 100000");
}

TEST(MapCreate, FlagsAreCheckedAgainstTheType) {
  struct Case {
    uint32_t flags;
    bool array, hash, per_cpu_array, per_cpu_hash;
  };
  const Case cases[] = {
      {BPF_F_NO_PREALLOC, false, true, false, true},
      {BPF_F_RDONLY, true, true, true, true},
      {BPF_F_WRONLY, true, true, true, true},
      {BPF_F_RDONLY_PROG, true, true, true, true},
      {BPF_F_WRONLY_PROG, true, true, true, true},
      {BPF_F_RDONLY | BPF_F_WRONLY, false, false, false, false},
      {BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG, false, false, false, false},
      {BPF_F_MMAPABLE, true, false, false, false},
      {BPF_F_ZERO_SEED, false, true, false, true},
      {BPF_F_NUMA_NODE, true, true, false, false},
      {BPF_F_NO_COMMON_LRU, false, false, false, false},
      {1u << 31, false, false, false, false},
  };
  for (const Case& c : cases) {
    const bool expected[] = {c.array, c.hash, c.per_cpu_array, c.per_cpu_hash};
    for (int i = 0; i < 4; i++) {
      MapSpec spec = spec_of(kAllTypes[i], 4, 8, 8, 2);
      spec.flags = c.flags;
      if (expected[i]) {
        EXPECT_TRUE(Map::create(spec)) << "type " << kAllTypes[i] << " flags " << c.flags;
      } else {
        expect_refused(spec, EINVAL, "map_flags");
      }
    }
  }
}

TEST(MapCreate, CoreHoldsTheShapeAndUserSizeFollowsBpf) {
  auto array = make(spec_of(BPF_MAP_TYPE_ARRAY, 4, 13, 5, 7));
  EXPECT_EQ(array->core().slots, 1u);
  EXPECT_EQ(array->core().value_stride, 16u);
  EXPECT_EQ(array->user_value_size(), 13u);
  EXPECT_EQ(array->entries(), 5u);
  EXPECT_GE(array->memory_bytes(), 80u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(array->core().values) % 4096, 0u);
  auto per_cpu = make(spec_of(BPF_MAP_TYPE_PERCPU_HASH, 4, 13, 5, 7));
  EXPECT_EQ(per_cpu->core().slots, 7u);
  EXPECT_EQ(per_cpu->core().value_stride % 8, 0u);
  EXPECT_EQ(per_cpu->user_value_size(), 7u * 16);
  EXPECT_EQ(per_cpu->entries(), 0u);
  EXPECT_GT(per_cpu->memory_bytes(), 0u);
  EXPECT_TRUE(is_per_cpu(BPF_MAP_TYPE_PERCPU_ARRAY) && is_per_cpu(BPF_MAP_TYPE_PERCPU_HASH));
  EXPECT_FALSE(is_per_cpu(BPF_MAP_TYPE_ARRAY) || is_per_cpu(BPF_MAP_TYPE_HASH) || is_per_cpu(9999));
}

TEST(MapCreate, HashKeyIsRandomUnlessZeroSeedIsAsked) {
  MapSpec spec = spec_of(BPF_MAP_TYPE_HASH, 4, 8, 8);
  auto one = make(spec), two = make(spec);
  EXPECT_NE(one->core().hash_key[0], two->core().hash_key[0]);
  EXPECT_NE(one->core().hash_key[1], two->core().hash_key[1]);
  spec.flags = BPF_F_ZERO_SEED;
  EXPECT_EQ(make(spec)->core().hash_key[0], make(spec)->core().hash_key[0]);
  EXPECT_EQ(make(spec)->core().hash_key[1], make(spec)->core().hash_key[1]);
}

}  // namespace
}  // namespace sluice::bpf
