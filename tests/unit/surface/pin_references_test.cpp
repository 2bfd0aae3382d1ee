// prog_arrays and maps in maps after a restart: what their elements refer to lives on by them
// alone.
#include <sys/syscall.h>

#include "bpf/object/record.hpp"
#include "tests/unit/surface/pin_fixture.hpp"

namespace sluice::bpf {
namespace {

// Goes on with element 0 of the prog_array behind `map`; 3 where there is none.
std::vector<Insn> jumping_program(long map) {
  return {insn(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_2, BPF_PSEUDO_MAP_FD, 0, static_cast<int>(map)),
          insn(0),
          move(BPF_REG_3, 0),
          call(BPF_FUNC_tail_call),
          move(BPF_REG_0, 3),
          leave()};
}

long create_of_maps(const BpfCall& bpf, uint32_t type, long inner) {
  auto attr = empty_attr();
  attr.map_type = type;
  attr.key_size = attr.value_size = 4;
  attr.max_entries = 8;
  attr.inner_map_fd = static_cast<uint32_t>(inner);
  return bpf(BPF_MAP_CREATE, attr);
}

class References : public Pins {
 protected:
  void put(long map, uint32_t key, long fd) {
    auto value = static_cast<uint64_t>(fd);
    EXPECT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, map, key, &value), 0);
  }
  // The id of what an element refers to, or a negative errno.
  long id_at(long map, uint32_t key) {
    uint64_t id = 0;
    const long error = element(bpf, BPF_MAP_LOOKUP_ELEM, map, key, &id);
    return error != 0 ? error : static_cast<long>(id);
  }
  long open_id(int command, long id) {
    auto attr = empty_attr();
    attr.prog_id = static_cast<uint32_t>(id);
    return bpf(command, attr);
  }
  uint32_t run(long program) {
    std::vector<uint8_t> frame(64);
    auto attr = empty_attr();
    attr.test.prog_fd = static_cast<uint32_t>(program);
    attr.test.data_in = address(frame.data());
    attr.test.data_size_in = static_cast<uint32_t>(frame.size());
    EXPECT_EQ(surface->bpf({}, BPF_PROG_TEST_RUN, &attr, sizeof attr), 0);
    return attr.test.retval;
  }
  // After the daemon's start, with which the last of what it held goes.
  void remove(const char* name) {
    surface->attach_pinned();
    ASSERT_EQ(::unlink((root + "/" + name).c_str()), 0);
    surface->objects().sweep();
  }
  // A pinned prog_array whose element 0 is a program that counts in a map; none of the two has a
  // pin. Its descriptor.
  long pinned_jump_table() {
    const long table = create(bpf, BPF_MAP_TYPE_PROG_ARRAY, 0, 4);
    const long counts = create(bpf, BPF_MAP_TYPE_ARRAY);
    const long target = load(counting_program(counts));
    put(table, 0, target);
    EXPECT_EQ(pin(bpf, table, root + "/table"), 0);
    close(counts);
    close(target);
    return table;
  }
};

TEST_F(References, AProgArrayHasItsProgramsAfterEachRestart) {
  long table = pinned_jump_table();
  const long entry = load(jumping_program(table));
  ASSERT_EQ(pin(bpf, entry, root + "/entry"), 0);
  EXPECT_EQ(run(entry), 7u);
  for (uint64_t runs = 2; runs < 4; runs++) {
    restart();
    EXPECT_EQ(run(get(bpf, root + "/entry")), 7u);
    table = get(bpf, root + "/table");
    const auto target = surface->objects().program(static_cast<uint32_t>(id_at(table, 0)));
    ASSERT_NE(target, nullptr);
    const uint32_t key = 0;
    uint64_t count = 0;
    ASSERT_EQ(target->used_maps()[0]->map->lookup(&key, &count), 0);
    EXPECT_EQ(count, runs) << "its map is the same";
    EXPECT_EQ(id_at(table, 1), -ENOENT);
  }
}

TEST_F(References, MapsInMapsHaveTheirInnerMapsAfterEachRestart) {
  for (const uint32_t type : {BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS}) {
    const std::string path = root + "/outer" + std::to_string(type);
    const long inner = create(bpf);
    long outer = create_of_maps(bpf, type, inner);
    put(outer, 3, inner);
    put(outer, 5, inner);
    ASSERT_EQ(pin(bpf, outer, path), 0);
    uint64_t value = 42;
    ASSERT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, inner, 1, &value), 0);
    for (int restarts = 0; restarts < 2; restarts++) {
      restart();
      outer = get(bpf, path);
      EXPECT_EQ(id_at(outer, 3), id_at(outer, 5)) << "one map, as before";
      const long found = open_id(BPF_MAP_GET_FD_BY_ID, id_at(outer, 3));
      value = 0;
      ASSERT_EQ(element(bpf, BPF_MAP_LOOKUP_ELEM, found, 1, &value), 0);
      EXPECT_EQ(value, 42u);
      EXPECT_EQ(id_at(outer, 4), -ENOENT);
    }
  }
}

TEST_F(References, WhatAnElementReferredToGoesForGoodWithIt) {
  const long table = pinned_jump_table();
  const size_t with_program = stored();
  auto attr = empty_attr();
  const uint32_t key = 0;
  attr.map_fd = static_cast<uint32_t>(table);
  attr.key = address(&key);
  ASSERT_EQ(bpf(BPF_MAP_DELETE_ELEM, attr), 0);
  EXPECT_FALSE(living(BPF_PROG_GET_NEXT_ID));
  EXPECT_LT(stored(), with_program);
  close(table);
  restart();
  EXPECT_FALSE(living(BPF_PROG_GET_NEXT_ID));
  EXPECT_EQ(id_at(get(bpf, root + "/table"), 0), -ENOENT);
  restart();
  remove("table");
  EXPECT_EQ(stored(), 0u);
}

TEST_F(References, AnElementThatWasReplacedIsTheNewOneAfterARestart) {
  const long inner = create(bpf);
  const long second = create(bpf);
  long outer = create_of_maps(bpf, BPF_MAP_TYPE_HASH_OF_MAPS, inner);
  put(outer, 1, inner);
  put(outer, 1, second);
  uint64_t value = 6;
  ASSERT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, second, 9, &value), 0);
  ASSERT_EQ(pin(bpf, outer, root + "/outer"), 0);
  restart();
  outer = get(bpf, root + "/outer");
  const long found = open_id(BPF_MAP_GET_FD_BY_ID, id_at(outer, 1));
  value = 0;
  EXPECT_EQ(element(bpf, BPF_MAP_LOOKUP_ELEM, found, 9, &value), 0);
  EXPECT_EQ(value, 6u);
  close(found);
  close(outer);
  remove("outer");
  EXPECT_FALSE(living(BPF_MAP_GET_NEXT_ID)) << "the map that was replaced is gone as well";
  EXPECT_EQ(stored(), 0u);
}

TEST_F(References, AProgramInTheProgArrayThatItUsesIsNoReasonToStay) {
  const long table = create(bpf, BPF_MAP_TYPE_PROG_ARRAY, 0, 4);
  const long program = load(jumping_program(table));
  put(table, 0, program);
  ASSERT_EQ(pin(bpf, table, root + "/table"), 0);
  restart();
  surface->attach_pinned();
  EXPECT_TRUE(living(BPF_PROG_GET_NEXT_ID));
  remove("table");
  EXPECT_FALSE(living(BPF_PROG_GET_NEXT_ID));
  EXPECT_FALSE(living(BPF_MAP_GET_NEXT_ID));
  EXPECT_EQ(stored(), 0u);
}

// The kernel empties it behind the caller's back, so it is asked for a while.
long look_up_after_last_close(const BpfCall& bpf) {
  const long table = create(bpf, BPF_MAP_TYPE_PROG_ARRAY, 0, 4);
  if (table < 0) return table;
  const auto insns = jumping_program(table);
  const long program = bpf(BPF_PROG_LOAD, Client::program(insns));
  auto value = static_cast<uint64_t>(program);
  EXPECT_EQ(element(bpf, BPF_MAP_UPDATE_ELEM, table, 0, &value), 0);
  ::close(static_cast<int>(table));
  uint32_t map_id = 0;
  bpf_prog_info info{};
  info.nr_map_ids = 1;
  info.map_ids = address(&map_id);
  auto attr = empty_attr();
  attr.info.bpf_fd = static_cast<uint32_t>(program);
  attr.info.info = address(&info);
  attr.info.info_len = sizeof info;
  EXPECT_EQ(bpf(BPF_OBJ_GET_INFO_BY_FD, attr), 0);
  attr = empty_attr();
  attr.map_id = map_id;
  long result = 0;
  for (int i = 0; i < 500 && result == 0; i++) {
    const long again = bpf(BPF_MAP_GET_FD_BY_ID, attr);
    EXPECT_GE(again, 0) << "the program keeps it";
    result = element(bpf, BPF_MAP_LOOKUP_ELEM, again, 0, &value);
    ::close(static_cast<int>(again));
    if (result == 0) ::usleep(10000);
  }
  ::close(static_cast<int>(program));
  return result;
}

TEST_F(References, AProgArrayIsEmptiedByItsLastClose) {
  const BpfCall sweeping = [this](int cmd, union bpf_attr attr) {
    surface->objects().sweep();
    return bpf(cmd, attr);
  };
  EXPECT_EQ(look_up_after_last_close(sweeping), -ENOENT);
}

TEST(KernelReferences, AProgArrayIsEmptiedByItsLastClose) {
  const long result = look_up_after_last_close([](int cmd, union bpf_attr attr) {
    const long returned = ::syscall(__NR_bpf, cmd, &attr, sizeof attr);
    return returned < 0 ? -errno : returned;
  });
  if (result == -EPERM || result == -ENOSYS)
    GTEST_SKIP() << "this process may not use the kernel's bpf(2)";
  EXPECT_EQ(result, -ENOENT);
}

TEST_F(References, AProgArrayOfAPinnedProgramStaysFullWhileSomebodyTakesItUp) {
  const long table = create(bpf, BPF_MAP_TYPE_PROG_ARRAY, 0, 4);
  put(table, 0, load(constant_program(9)));
  ASSERT_EQ(pin(bpf, load(jumping_program(table)), root + "/entry"), 0);
  restart();
  long entry = get(bpf, root + "/entry");
  const auto program = surface->objects().program_of(static_cast<int>(entry));
  {
    const auto taken_up = use_map(program->used_maps()[0]);  // as the configuration does
    surface->attach_pinned();
    EXPECT_EQ(run(entry), 9u);
  }
  EXPECT_EQ(run(entry), 3u);
}

TEST_F(References, AnElementWhoseObjectIsDamagedIsGoneAndTheOthersStay) {
  const long table = create(bpf, BPF_MAP_TYPE_PROG_ARRAY, 0, 4);
  std::string records[2];
  for (uint32_t key = 0; key < 2; key++) {
    const long program = load(constant_program(static_cast<int>(key) + 1));
    put(table, key, program);
    records[key] = surface->objects().program_of(static_cast<int>(program))->record->name();
  }
  ASSERT_EQ(pin(bpf, table, root + "/table"), 0);
  surface.reset();
  std::filesystem::resize_file(root + "/.store/" + records[0], 50);
  testing::internal::CaptureStderr();
  start();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("map flows: " + records[0]), std::string::npos) << log;
  const long again = get(bpf, root + "/table");
  EXPECT_EQ(id_at(again, 0), -ENOENT);
  EXPECT_GT(id_at(again, 1), 0);
  close(again);
  testing::internal::CaptureStderr();
  restart();
  EXPECT_EQ(testing::internal::GetCapturedStderr().find("gone"), std::string::npos) << "said once";
  EXPECT_TRUE(std::filesystem::exists(root + "/.store/damaged/" + records[0]));
}

}  // namespace
}  // namespace sluice::bpf
