// Keys that lie in an array's value, where another thread changes them while programs update by
// them.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "bpf/maps/map_ops.hpp"
#include "tests/unit/jit/engines.hpp"
#include "tests/unit/jit/programs.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

constexpr int kRuns = 30000;

// Updates map 1 by the key that is map 0's value.
Code update_by_shared_key() {
  Code code;
  code << store_imm(BPF_W, 10, -4, 0) << map_fd(1, 0) << mov_reg(2, 10) << alu(BPF_ADD, 2, -4)
       << call(BPF_FUNC_map_lookup_elem) << jump(BPF_JEQ, 0, 0, 8);
  code << mov_reg(2, 0) << store_imm(BPF_DW, 10, -16, 1) << map_fd(1, 1) << mov_reg(3, 10)
       << alu(BPF_ADD, 3, -16) << mov(4, BPF_ANY) << call(BPF_FUNC_map_update_elem);
  code << mov(0, 1) << exit();
  return code;
}

std::shared_ptr<Map> make(uint32_t type, uint32_t key_size, uint32_t flags = 0) {
  auto map = Map::create({"map", type, key_size, 8, type == BPF_MAP_TYPE_ARRAY ? 1u : 64u, flags});
  EXPECT_TRUE(map) << (map ? "" : map.error().text);
  return map ? *map : nullptr;
}

// The keys that are in the map once `run` has updated it while the key went to and fro.
std::vector<uint64_t> keys_after(Map& map, Map& shared, Engine engine, const uint64_t (&keys)[2]) {
  const uint32_t zero = 0;
  auto* place = static_cast<uint64_t*>(map_lookup_elem(&shared.core(), &zero, 0));
  __atomic_store_n(place, keys[0], __ATOMIC_RELAXED);
  std::atomic<bool> stop{false};
  std::thread other([&] {
    for (uint32_t i = 0; !stop.load(); i++) __atomic_store_n(place, keys[i % 2], __ATOMIC_RELAXED);
  });
  uint8_t bytes[64] = {};
  const LinearPacket packet{.buffer = bytes, .captured = 64, .wire_length = 64};
  for (int i = 0; i < kRuns; i++) engine.run(packet);
  stop = true;
  other.join();
  std::vector<uint64_t> found;
  uint64_t key = 0;
  for (int error = map.next_key(nullptr, &key); error == 0 && found.size() < 4;
       error = map.next_key(&found.back(), &key))
    found.push_back(key);
  return found;
}

TEST(SharedKey, EveryElementOfAHashIsFoundByItsKey) {
  const uint64_t keys[] = {0x1111, 0x22220000};
  const Maps maps = {make(BPF_MAP_TYPE_ARRAY, 4), make(BPF_MAP_TYPE_HASH, 8)};
  const auto result = verify_insns(update_by_shared_key(), maps);
  ASSERT_NE(result.program, nullptr) << result.report.reason;
  for (const auto make_engine : {interpreted, compiled}) {
    const auto found = keys_after(*maps[1], *maps[0], make_engine(*result.program, maps), keys);
    EXPECT_LE(found.size(), 2u);
    EXPECT_EQ(maps[1]->entries(), found.size());
    for (const uint64_t key : found) {
      uint64_t value = 0;
      EXPECT_EQ(maps[1]->lookup(&key, &value), 0) << key;
    }
  }
}

// A prefix length of far more bits than there are, and one that fits.
TEST(SharedKey, ATriesPrefixesAreThoseThatWereChecked) {
  const uint64_t keys[] = {32 | 0x0a00000aull << 32, 0xfffffff0 | 0x0b00000bull << 32};
  const Maps maps = {make(BPF_MAP_TYPE_ARRAY, 4),
                     make(BPF_MAP_TYPE_LPM_TRIE, 8, BPF_F_NO_PREALLOC)};
  const auto result = verify_insns(update_by_shared_key(), maps);
  ASSERT_NE(result.program, nullptr) << result.report.reason;
  for (const auto make_engine : {interpreted, compiled}) {
    const auto found = keys_after(*maps[1], *maps[0], make_engine(*result.program, maps), keys);
    EXPECT_EQ(found, std::vector<uint64_t>{keys[0]});
  }
}

}  // namespace
}  // namespace sluice::bpf
