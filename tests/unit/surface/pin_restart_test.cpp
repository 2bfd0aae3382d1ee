// What is pinned is there after the daemon's end, and what is not is gone.
#include "tests/unit/surface/pin_fixture.hpp"

namespace sluice::bpf {
namespace {

TEST_F(Pins, AMapThatWasNeverPinnedLeavesNothing) {
  close(create(bpf));
  EXPECT_EQ(stored(), 0u);
  create(bpf);  // not closed: the surface ends with it
  restart();
  EXPECT_EQ(stored(), 0u);
}

TEST_F(Pins, ADescriptorKeepsWhatLostItsPin) {
  const long map = create(bpf);
  ASSERT_EQ(pin(bpf, map, root + "/map"), 0);
  ASSERT_EQ(::unlink((root + "/map").c_str()), 0);
  uint64_t value = 5;
  EXPECT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, map, 1, &value), 0);
  ASSERT_EQ(pin(bpf, map, root + "/again"), 0);
  close(map);
  restart();
  const long again = get(bpf, root + "/again");
  EXPECT_EQ(element(bpf, BPF_MAP_LOOKUP_ELEM, again, 1, &value), 0);
  EXPECT_EQ(value, 5u);
}

TEST_F(Pins, AMapIsThereAfterARestartWithContentsNameAndFreeze) {
  for (const uint32_t type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY}) {
    const std::string path = root + "/map" + std::to_string(type);
    long map = create(bpf, type);
    uint64_t value = 42;
    ASSERT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, map, 3, &value), 0);
    ASSERT_EQ(pin(bpf, map, path), 0);
    value = 43;
    ASSERT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, map, 4, &value), 0);
    auto attr = empty_attr();
    attr.map_fd = static_cast<uint32_t>(map);
    ASSERT_EQ(bpf(BPF_MAP_FREEZE, attr), 0);
    restart();
    map = get(bpf, path);
    ASSERT_GE(map, 0);
    ASSERT_EQ(element(bpf, BPF_MAP_LOOKUP_ELEM, map, 3, &value), 0);
    EXPECT_EQ(value, 42u);
    ASSERT_EQ(element(bpf, BPF_MAP_LOOKUP_ELEM, map, 4, &value), 0);
    EXPECT_EQ(value, 43u);
    EXPECT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, map, 5, &value), -EPERM) << "it is frozen";
    EXPECT_EQ(surface->objects().map_of(static_cast<int>(map))->map->spec().name, "flows");
  }
}

// Creation adds a flag to device maps that nobody may ask for.
TEST_F(Pins, ADeviceMapIsThereAfterARestart) {
  for (const uint32_t type : {BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH}) {
    const std::string path = root + "/map" + std::to_string(type);
    long map = create(bpf, type, 0, 4);
    uint64_t value = 1;
    ASSERT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, map, 3, &value), 0);
    ASSERT_EQ(pin(bpf, map, path), 0);
    restart();
    map = get(bpf, path);
    ASSERT_GE(map, 0);
    value = 0;
    ASSERT_EQ(element(bpf, BPF_MAP_LOOKUP_ELEM, map, 3, &value), 0);
    EXPECT_EQ(value, 1u);
  }
}

TEST_F(Pins, AProgramIsThereAfterARestartWithItsMapAndRuns) {
  long map = create(bpf, BPF_MAP_TYPE_ARRAY);
  long program = load(counting_program(map));
  ASSERT_GE(program, 0);
  const Tag tag = surface->objects().program_of(static_cast<int>(program))->tag;
  ASSERT_EQ(pin(bpf, program, root + "/prog"), 0);
  close(map);
  close(program);
  restart();
  program = get(bpf, root + "/prog");
  ASSERT_GE(program, 0);
  const auto object = surface->objects().program_of(static_cast<int>(program));
  EXPECT_EQ(object->tag, tag);
  ASSERT_EQ(object->used_maps().size(), 1u) << "the map has no pin, the program keeps it";
  std::vector<uint8_t> frame(64);
  auto attr = empty_attr();
  attr.test.prog_fd = static_cast<uint32_t>(program);
  attr.test.data_in = address(frame.data());
  attr.test.data_size_in = static_cast<uint32_t>(frame.size());
  ASSERT_EQ(bpf(BPF_PROG_TEST_RUN, attr), 0);
  const uint32_t key = 0;
  uint64_t value = 0;
  ASSERT_EQ(object->used_maps()[0]->map->lookup(&key, &value), 0);
  EXPECT_EQ(value, 1u);
}

TEST_F(Pins, APinRemovedWhileNoDaemonRanIsGone) {
  const long map = create(bpf);
  ASSERT_EQ(pin(bpf, map, root + "/map"), 0);
  surface.reset();
  ASSERT_EQ(::unlink((root + "/map").c_str()), 0);
  start();
  EXPECT_FALSE(living(BPF_MAP_GET_NEXT_ID));
  EXPECT_EQ(stored(), 0u);
}

TEST_F(Pins, WhatWorkersCountedApartIsThereAfterARestartAndGoesOn) {
  long map = create(bpf, BPF_MAP_TYPE_ARRAY);
  const long program = load(counting_program(map));
  ASSERT_GE(program, 0);
  ASSERT_EQ(pin(bpf, map, root + "/map"), 0);
  const auto count = [&](uint32_t writer) {
    const PrivateCopies copies =
        surface->objects().map_of(static_cast<int>(map))->map->private_copies();
    add_privately<uint64_t>(copies, writer, copies.values, 1);
  };
  const auto counted = [&] {
    uint64_t value = 0;
    EXPECT_EQ(element(bpf, BPF_MAP_LOOKUP_ELEM, map, 0, &value), 0);
    return value;
  };
  count(0);
  count(1);
  restart();
  map = get(bpf, root + "/map");
  EXPECT_EQ(counted(), 2u) << "before any program";
  ASSERT_EQ(pin(bpf, load(counting_program(map)), root + "/program"), 0);
  count(0);
  restart();
  map = get(bpf, root + "/map");
  EXPECT_EQ(counted(), 3u);
  EXPECT_TRUE(surface->objects().map_of(static_cast<int>(map))->map->waits_to_admit())
      << "the pinned program only adds";
  count(1);
  std::vector<Insn> reading = counting_program(map);
  reading[7] = insn(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_0, BPF_REG_0);
  reading[8] = leave();
  ASSERT_EQ(pin(bpf, load(reading), root + "/reader"), 0);
  EXPECT_EQ(counted(), 4u);
  restart();
  map = get(bpf, root + "/map");
  EXPECT_FALSE(surface->objects().map_of(static_cast<int>(map))->map->waits_to_admit());
  EXPECT_EQ(counted(), 4u);
}

}  // namespace
}  // namespace sluice::bpf
