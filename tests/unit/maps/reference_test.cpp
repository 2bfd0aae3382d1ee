// Maps of references: prog_array, array_of_maps, hash_of_maps, perf_event_array, xskmap.
#include <linux/perf_event.h>
#include <sys/socket.h>

#include "bpf/maps/map_types.hpp"
#include "bpf/maps/reference_map.hpp"
#include "tests/unit/maps/kernel_map.hpp"
#include "tests/unit/maps/map_fixture.hpp"

namespace sluice::bpf {
namespace {

// Keeps what is retired until it is asked to let go, as a data plane with a busy worker does.
class HeldGrace final : public Grace {
 public:
  void retire(std::shared_ptr<const void> reference) override {
    held.push_back(std::move(reference));
  }
  void wait() override {}
  std::vector<std::shared_ptr<const void>> held;
};

MapReference reference_to(const std::shared_ptr<Map>& map, uint32_t id) {
  return {map, &map->core(), id, 0, map.get()};
}

MapSpec outer_of(uint32_t type, const std::shared_ptr<Map>& inner, Grace* grace = nullptr) {
  MapSpec spec = spec_of(type, 4, 4, 4);
  spec.inner = inner;
  spec.grace = grace;
  return spec;
}

TEST(MapInMap, ProgramsFindTheInnerMapAndItsIdIsTheValue) {
  for (uint32_t type : {BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS}) {
    auto inner = make(spec_of(BPF_MAP_TYPE_ARRAY, 4, 8, 3)),
         other = make(spec_of(BPF_MAP_TYPE_ARRAY, 4, 8, 3));
    HeldGrace grace;
    auto outer = make(outer_of(type, inner, &grace));
    uint32_t key = 2, id = 0;
    EXPECT_EQ(outer->lookup(&key, &id), -ENOENT);
    EXPECT_EQ(map_lookup_elem(&outer->core(), &key, 0), nullptr);
    ASSERT_EQ(outer->set_reference(&key, reference_to(inner, 77), BPF_ANY), 0);
    EXPECT_EQ(outer->lookup(&key, &id), 0);
    EXPECT_EQ(id, 77u);
    EXPECT_EQ(map_lookup_elem(&outer->core(), &key, 0), &inner->core());
    EXPECT_EQ(outer->entries(), 1u);
    EXPECT_EQ(outer->update(&key, &id, BPF_ANY), -EINVAL);

    // What a worker may still look at lives until the grace period is over.
    ASSERT_EQ(outer->set_reference(&key, reference_to(other, 78), BPF_ANY), 0);
    ASSERT_EQ(grace.held.size(), 1u);
    EXPECT_EQ(grace.held[0], inner);
    EXPECT_EQ(map_lookup_elem(&outer->core(), &key, 0), &other->core());
    ASSERT_EQ(outer->erase(&key), 0);
    EXPECT_EQ(outer->erase(&key), -ENOENT);
    EXPECT_EQ(grace.held.size(), 2u);
    EXPECT_EQ(outer->entries(), 0u);
    ASSERT_EQ(outer->set_reference(&key, reference_to(other, 78), BPF_ANY), 0);
    outer.reset();
    EXPECT_EQ(grace.held.size(), 3u);
  }
}

TEST(MapInMap, BatchesGiveIds) {
  auto inner = make(spec_of(BPF_MAP_TYPE_HASH, 4, 8, 3));
  for (uint32_t type : {BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS}) {
    auto outer = make(outer_of(type, inner));
    for (uint32_t key : {1u, 3u})
      ASSERT_EQ(outer->set_reference(&key, reference_to(inner, 100 + key), BPF_ANY), 0);
    uint32_t keys[8], ids[8], token;
    Batch batch{nullptr, &token, keys, ids, 8};
    EXPECT_EQ(outer->lookup_batch(batch, false), -ENOENT);
    ASSERT_EQ(batch.count, 2u);
    for (int i = 0; i < 2; i++) EXPECT_EQ(ids[i], 100 + keys[i]);
    if (type == BPF_MAP_TYPE_ARRAY_OF_MAPS) continue;
    batch = {nullptr, &token, keys, ids, 8};
    EXPECT_EQ(outer->lookup_batch(batch, true), -ENOENT);
    EXPECT_EQ(batch.count, 2u);
    EXPECT_EQ(outer->entries(), 0u);
  }
}

// Which maps fit an outer map made with another: each pair is tried on the kernel too.
TEST(MapInMap, InnerMapsMustLookAsTheKernelAsks) {
  if (!kernel_maps_allowed()) GTEST_SKIP() << "bpf(2) is not permitted here";
  std::vector<MapSpec> specs;
  for (uint32_t type : {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH,
                        BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_RINGBUF, BPF_MAP_TYPE_LPM_TRIE}) {
    const bool keyless = type == BPF_MAP_TYPE_QUEUE || type == BPF_MAP_TYPE_RINGBUF;
    const uint32_t scale = type == BPF_MAP_TYPE_RINGBUF ? 4096 : 1;
    MapSpec spec = spec_of(type, keyless ? 0 : type == BPF_MAP_TYPE_LPM_TRIE ? 8 : 4,
                           type == BPF_MAP_TYPE_RINGBUF ? 0 : 8, 4 * scale);
    if (type == BPF_MAP_TYPE_LPM_TRIE) spec.flags = BPF_F_NO_PREALLOC;
    specs.push_back(spec);
    spec.max_entries *= 2;
    specs.push_back(spec);
    if (type == BPF_MAP_TYPE_RINGBUF) continue;
    spec.value_size = 16;
    specs.push_back(spec);
    if (type != BPF_MAP_TYPE_ARRAY) continue;
    spec.flags = BPF_F_INNER_MAP;
    specs.push_back(spec);
    spec.max_entries = 33;
    specs.push_back(spec);
    spec.flags = BPF_F_MMAPABLE;
    specs.push_back(spec);
  }
  int fitted = 0;
  for (const MapSpec& wanted : specs) {
    auto inner = make(wanted);
    KernelMap kernel_inner(wanted);
    for (uint32_t type : {BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS}) {
      auto outer = make(outer_of(type, inner));
      KernelMap kernel_outer(spec_of(type, 4, 4, 4), kernel_inner.fd());
      ASSERT_EQ(kernel_outer.error(), 0);
      for (const MapSpec& given : specs) {
        auto map = make(given);
        KernelMap kernel_map(given);
        uint32_t key = 1, fd = static_cast<uint32_t>(kernel_map.fd());
        const int error = outer->set_reference(&key, reference_to(map, 1), BPF_ANY);
        EXPECT_EQ(error, kernel_outer.update(&key, &fd, BPF_ANY))
            << "wanted " << wanted.type << "/" << wanted.max_entries << " given " << given.type
            << "/" << given.max_entries;
        fitted += error == 0;
      }
    }
  }
  EXPECT_GT(fitted, static_cast<int>(specs.size()));
}

TEST(MapInMap, NoMapInMapInMap) {
  auto array = make(spec_of(BPF_MAP_TYPE_ARRAY, 4, 8, 3));
  for (uint32_t type : {BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS}) {
    expect_refused(outer_of(type, nullptr), EINVAL, "no inner map");
    expect_refused(outer_of(type, make(outer_of(BPF_MAP_TYPE_ARRAY_OF_MAPS, array))), EINVAL,
                   "map-in-map");
    expect_refused(outer_of(type, make(spec_of(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 3))), 524,
                   "prog_array");
    MapSpec wide = outer_of(type, array);
    wide.value_size = 8;
    expect_refused(wide, EINVAL, "value_size 8");
  }
}

TEST(ProgArray, HoldsProgramsOfOneKind) {
  auto map = make(spec_of(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 3));
  auto program = std::make_shared<int>(1);
  MapReference reference{program, program.get(), 5, BPF_PROG_TYPE_SOCKET_FILTER, nullptr};
  uint32_t key = 1, out = 3, id = 0;
  EXPECT_EQ(map->check_reference(&key, BPF_NOEXIST), -EINVAL);
  EXPECT_EQ(map->check_reference(&out, BPF_ANY), -E2BIG);
  EXPECT_EQ(map->set_reference(&out, reference, BPF_ANY), -E2BIG);
  ASSERT_EQ(map->set_reference(&key, reference, BPF_ANY), 0);
  EXPECT_EQ(reference_at(&map->core(), 1), program.get());
  EXPECT_EQ(reference_at(&map->core(), 3), nullptr);
  EXPECT_EQ(map->lookup(&key, &id), 0);
  EXPECT_EQ(id, 5u);
  EXPECT_EQ(map->lookup(&out, &id), -ENOENT);
  reference.kind = BPF_PROG_TYPE_XDP;
  EXPECT_EQ(map->set_reference(&key, reference, BPF_ANY), -EINVAL);
  EXPECT_FALSE(map->claim_kind(BPF_PROG_TYPE_XDP));
  EXPECT_TRUE(map->claim_kind(BPF_PROG_TYPE_SOCKET_FILTER));
  EXPECT_EQ(program.use_count(), 3);  // here, the reference above, the map
  EXPECT_EQ(map->erase(&out), -E2BIG);
  EXPECT_EQ(map->erase(&key), 0);
  EXPECT_EQ(map->erase(&key), -ENOENT);
  EXPECT_EQ(program.use_count(), 2);
  EXPECT_EQ(reference_at(&map->core(), 1), nullptr);
}

long output(const MapCore* map, uint64_t flags, uint32_t slot) {
  return perf_event_output(map, flags, slot, {"some text", 9, nullptr, 0, 0});
}

TEST(PerfEventArray, TakesPerfEventsAndNothingElse) {
  auto map = make(spec_of(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2));
  uint32_t key = 0, value = 0;
  EXPECT_EQ(map->lookup(&key, &value), -524);
  const MapCore* core = &map->core();
  EXPECT_EQ(output(core, BPF_F_CURRENT_CPU, 0), -ENOENT);
  EXPECT_EQ(output(core, 1, 0), -ENOENT);
  EXPECT_EQ(output(core, 2, 0), -E2BIG);
  EXPECT_EQ(output(core, BPF_F_CURRENT_CPU, 2), -E2BIG);
  EXPECT_EQ(output(core, 1ull << 60, 0), -EINVAL);
  EXPECT_EQ(output(core, 1ull << 32, 0), -EFAULT);  // of a packet that has none
  MapReference reference;
  EXPECT_EQ(reference_file(ReferenceKind::perf_event, 0, &reference), -EBADF);
  EXPECT_EQ(reference_file(ReferenceKind::perf_event, 9999, &reference), -EBADF);
  perf_event_attr attr{};
  attr.type = PERF_TYPE_SOFTWARE;
  attr.size = sizeof attr;
  attr.config = PERF_COUNT_SW_BPF_OUTPUT;
  UniqueFd event(
      static_cast<int>(::syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event) GTEST_SKIP() << "perf_event_open: " << std::strerror(errno);
  ASSERT_EQ(reference_file(ReferenceKind::perf_event, event.get(), &reference), 0);
  ASSERT_EQ(map->set_reference(&key, reference, BPF_ANY), 0);
  EXPECT_EQ(output(core, BPF_F_CURRENT_CPU, 0), -EOPNOTSUPP);
  EXPECT_EQ(map->erase(&key), 0);
  EXPECT_EQ(output(core, BPF_F_CURRENT_CPU, 0), -ENOENT);
}

TEST(Xskmap, WhatIsNotAnXdpSocketIsRefusedAsInLinux) {
  MapReference reference;
  UniqueFd datagram(::socket(AF_INET, SOCK_DGRAM, 0)), file(::dup(0));
  EXPECT_EQ(reference_file(ReferenceKind::socket, 9999, &reference), -EBADF);
  EXPECT_EQ(reference_file(ReferenceKind::socket, datagram.get(), &reference), -EOPNOTSUPP);
  UniqueFd pipe_ends[2];
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  pipe_ends[0] = UniqueFd(ends[0]);
  pipe_ends[1] = UniqueFd(ends[1]);
  EXPECT_EQ(reference_file(ReferenceKind::socket, ends[0], &reference), -ENOTSOCK);
  auto map = make(spec_of(BPF_MAP_TYPE_XSKMAP, 4, 4, 2));
  uint32_t key = 0, out = 2, value = 0;
  EXPECT_EQ(map->lookup(&key, &value), -EOPNOTSUPP);
  EXPECT_EQ(map->check_reference(&out, BPF_ANY), -E2BIG);
  EXPECT_EQ(map->check_reference(&key, 3), -EINVAL);
  auto owner = std::make_shared<int>(1);
  reference = {owner, owner.get(), 0, 0, nullptr};
  EXPECT_EQ(map->set_reference(&key, reference, BPF_EXIST), -ENOENT);
  EXPECT_EQ(map->set_reference(&key, reference, BPF_NOEXIST), 0);
  EXPECT_EQ(map->set_reference(&key, reference, BPF_NOEXIST), -EEXIST);
  EXPECT_EQ(map->erase(&key), 0);
  EXPECT_EQ(map->erase(&key), 0);
  EXPECT_EQ(map->erase(&out), -EINVAL);
}

}  // namespace
}  // namespace sluice::bpf
