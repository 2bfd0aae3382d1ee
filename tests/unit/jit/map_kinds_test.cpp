// Maps without keys, ring buffers, maps in maps and real prog_arrays, verified and on both engines.
#include <gtest/gtest.h>

#include <cstring>

#include "bpf/interp/interp.hpp"
#include "bpf/jit/jit.hpp"
#include "bpf/maps/ring_ops.hpp"
#include "tests/unit/jit/engines.hpp"
#include "tests/unit/jit/programs.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

std::shared_ptr<Map> make(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t entries,
                          std::shared_ptr<const Map> inner = nullptr) {
  MapSpec spec{"map", type, key_size, value_size, entries};
  spec.inner = std::move(inner);
  auto map = Map::create(spec);
  EXPECT_TRUE(map) << (map ? "" : map.error().text);
  return map ? *map : nullptr;
}

std::shared_ptr<AnnotatedProgram> verified(const Code& code, const Maps& maps) {
  auto result = verify_insns(code, maps);
  EXPECT_NE(result.program, nullptr)
      << "insn " << result.report.insn << ": " << result.report.reason;
  return result.program == nullptr ? nullptr : with_maps(*result.program, maps);
}

// R0 of the program on each engine in turn, on the same maps.
void expect_both(const Code& code, const Maps& maps, uint64_t interpreted, uint64_t compiled) {
  const auto program = verified(code, maps);
  ASSERT_NE(program, nullptr);
  const BothResults results = run_both(program, std::vector<uint8_t>(64));
  EXPECT_EQ(results.interpreted, interpreted) << "interpreter";
  EXPECT_EQ(results.compiled, compiled) << "jit";
}

Code frame_address(uint8_t dst, int32_t offset) {
  return {mov_reg(dst, 10), alu(BPF_ADD, dst, offset)};
}

// Pushes 7 and 8, pops one and peeks at the next: the answer is popped * 10 + peeked.
Code push_pop_peek() {
  Code code;
  for (const int32_t value : {7, 8}) {
    code << store_imm(BPF_DW, 10, -8, value) << map_fd(1, 0) << frame_address(2, -8)
         << mov(3, BPF_ANY);
    code << call(BPF_FUNC_map_push_elem);
  }
  code << map_fd(1, 0) << frame_address(2, -16) << call(BPF_FUNC_map_pop_elem);
  code << map_fd(1, 0) << frame_address(2, -24) << call(BPF_FUNC_map_peek_elem);
  code << load(BPF_DW, 0, 10, -16) << alu(BPF_MUL, 0, 10) << load(BPF_DW, 1, 10, -24)
       << alu_reg(BPF_ADD, 0, 1) << exit();
  return code;
}

// The second run finds what the first one left.
TEST(MapKinds, AQueueGivesTheOldestAndAStackTheNewest) {
  expect_both(push_pop_peek(), {make(BPF_MAP_TYPE_QUEUE, 0, 8, 8)}, 78, 87);
  expect_both(push_pop_peek(), {make(BPF_MAP_TYPE_STACK, 0, 8, 8)}, 87, 87);
}

TEST(MapKinds, AnEmptyQueueIsEnoent) {
  Code code = map_fd(1, 0);
  code << frame_address(2, -8) << call(BPF_FUNC_map_pop_elem) << exit();
  expect_both(code, {make(BPF_MAP_TYPE_QUEUE, 0, 8, 2)}, static_cast<uint64_t>(-ENOENT),
              static_cast<uint64_t>(-ENOENT));
}

TEST(MapKinds, ABloomFilterKnowsWhatWasPushed) {
  Code code{store_imm(BPF_DW, 10, -8, 5)};
  code << map_fd(1, 0) << frame_address(2, -8) << mov(3, BPF_ANY) << call(BPF_FUNC_map_push_elem);
  code << map_fd(1, 0) << frame_address(2, -8) << call(BPF_FUNC_map_peek_elem) << exit();
  expect_both(code, {make(BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 64)}, 0, 0);
}

struct Record {
  uint32_t length;
  bool discarded;
  uint64_t first;
};

// What a consumer would see from the start on.
std::vector<Record> records_of(const Map& map) {
  const MapCore& core = map.core();
  std::vector<Record> records;
  for (uint64_t at = 0; at < *ring_producer_page(&core);) {
    uint32_t header;
    uint64_t first;
    std::memcpy(&header, core.values + at, 4);
    std::memcpy(&first, core.values + at + 8, 8);
    const uint32_t length = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
    EXPECT_EQ(header & BPF_RINGBUF_BUSY_BIT, 0u);
    records.push_back({length, (header & BPF_RINGBUF_DISCARD_BIT) != 0, first});
    at += ring_record_bytes(length);
  }
  return records;
}

// Reserves 16 bytes, writes the context's length and submits or discards; then puts out 8 bytes of
// the frame.
Code ring_program(int32_t finish) {
  Code code{mov_reg(6, 1)};
  code << map_fd(1, 0) << mov(2, 16) << mov(3, 0) << call(BPF_FUNC_ringbuf_reserve)
       << jump(BPF_JNE, 0, 0, 2) << mov(0, 1);
  code << exit() << load(BPF_W, 1, 6, 0) << store(BPF_DW, 0, 0, 1) << store_imm(BPF_DW, 0, 8, 3);
  code << mov_reg(1, 0) << mov(2, 0) << call(finish);
  code << store_imm(BPF_DW, 10, -8, 99) << map_fd(1, 0) << frame_address(2, -8) << mov(3, 8)
       << mov(4, 0);
  code << call(BPF_FUNC_ringbuf_output) << exit();
  return code;
}

TEST(MapKinds, ARingBufferTakesReservedAndPutOutRecords) {
  for (const int32_t finish : {BPF_FUNC_ringbuf_submit, BPF_FUNC_ringbuf_discard}) {
    const Maps maps{make(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096)};
    expect_both(ring_program(finish), maps, 0, 0);
    const auto records = records_of(*maps[0]);
    ASSERT_EQ(records.size(), 4u);
    for (const size_t run : {0u, 2u}) {
      EXPECT_EQ(records[run].length, 16u);
      EXPECT_EQ(records[run].discarded, finish == BPF_FUNC_ringbuf_discard);
      EXPECT_EQ(records[run].first, 64u);
      EXPECT_EQ(records[run + 1].length, 8u);
      EXPECT_EQ(records[run + 1].first, 99u);
    }
  }
}

TEST(MapKinds, RecordsOfTwoRingsGoBackToTheirOwn) {
  const Maps maps{make(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096), make(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096)};
  Code code;
  for (const uint32_t ring : {0u, 1u}) {
    code << map_fd(1, ring) << mov(2, 8) << mov(3, 0) << call(BPF_FUNC_ringbuf_reserve);
    if (ring == 0) {
      code << jump(BPF_JNE, 0, 0, 2) << mov(0, 1) << exit() << mov_reg(6, 0);
    } else {
      code << jump(BPF_JNE, 0, 0, 5) << mov_reg(1, 6) << mov(2, 0) << call(BPF_FUNC_ringbuf_discard)
           << mov(0, 1) << exit();
    }
  }
  code << store_imm(BPF_DW, 6, 0, 1) << store_imm(BPF_DW, 0, 0, 2) << mov_reg(1, 0) << mov(2, 0);
  code << call(BPF_FUNC_ringbuf_submit) << mov_reg(1, 6) << mov(2, 0)
       << call(BPF_FUNC_ringbuf_submit) << mov(0, 0) << exit();
  expect_both(code, maps, 0, 0);
  for (const size_t ring : {0u, 1u}) {
    const auto records = records_of(*maps[ring]);
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].first, ring + 1);
  }
}

// The inner map's element, through the outer map's.
TEST(MapKinds, AMapInAMapIsLookedUpByItsOwnShape) {
  const auto inner = make(BPF_MAP_TYPE_HASH, 4, 8, 4);
  const uint32_t key = 3;
  const uint64_t value = 4711;
  ASSERT_EQ(inner->update(&key, &value, BPF_ANY), 0);
  for (const uint32_t type : {BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS}) {
    const auto outer = make(type, 4, 4, 2, inner);
    ASSERT_NE(outer, nullptr);
    const uint32_t place = 1;
    MapReference reference{inner, &inner->core(), 17, 0, inner.get()};
    ASSERT_EQ(outer->set_reference(&place, reference, BPF_ANY), 0);
    Code code{store_imm(BPF_W, 10, -4, 1), store_imm(BPF_W, 10, -8, 3)};
    code << map_fd(1, 0) << frame_address(2, -4) << call(BPF_FUNC_map_lookup_elem)
         << jump(BPF_JNE, 0, 0, 1) << exit();
    code << mov_reg(1, 0) << frame_address(2, -8) << call(BPF_FUNC_map_lookup_elem)
         << jump(BPF_JNE, 0, 0, 1) << exit();
    code << load(BPF_DW, 0, 0, 0) << exit();
    expect_both(code, {outer}, value, value);
  }
}

TEST(MapKinds, APrefixIsTheLongestThatMatches) {
  const auto map = [] {
    MapSpec spec{"prefixes", BPF_MAP_TYPE_LPM_TRIE, 8, 8, 16, BPF_F_NO_PREALLOC};
    return *Map::create(spec);
  }();
  const auto add = [&](uint32_t length, uint32_t address, uint64_t value) {
    const uint32_t key[2] = {length, __builtin_bswap32(address)};
    ASSERT_EQ(map->update(key, &value, BPF_ANY), 0);
  };
  add(8, 0x0a000000, 8);
  add(24, 0x0a010200, 24);
  for (const auto& [address, expected] :
       {std::pair{0x0a010203u, 24u}, std::pair{0x0a020304u, 8u}}) {
    Code code{store_imm(BPF_W, 10, -8, 32),
              store_imm(BPF_W, 10, -4, static_cast<int32_t>(__builtin_bswap32(address)))};
    code << map_fd(1, 0) << frame_address(2, -8) << call(BPF_FUNC_map_lookup_elem)
         << jump(BPF_JNE, 0, 0, 1) << exit();
    code << load(BPF_DW, 0, 0, 0) << exit();
    expect_both(code, {map}, expected, expected);
  }
}

TEST(MapKinds, AProgArrayLeadsToTheProgramThatWasPutIn) {
  const auto targets = make(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4);
  const auto next = verified({mov(0, 42), exit()}, {});
  ASSERT_NE(next, nullptr);
  const auto target = std::make_shared<TailTarget>(TailTarget{next.get(), &interpret_target});
  const uint32_t place = 2;
  ASSERT_EQ(targets->set_reference(&place, {target, target.get(), 5, BPF_PROG_TYPE_SOCKET_FILTER},
                                   BPF_ANY),
            0);
  for (const auto& [index, expected] : {std::pair{2, 42u}, std::pair{1, 7u}}) {
    Code code = map_fd(2, 0);
    code << mov(3, index) << call(BPF_FUNC_tail_call) << mov(0, 7) << exit();
    expect_both(code, {targets}, expected, expected);
  }
}

}  // namespace
}  // namespace sluice::bpf
