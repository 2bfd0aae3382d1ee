// Program-side operations of queue, stack, bloom filter, LPM trie, LRU and redirect maps.
#include <algorithm>
#include <random>

#include "tests/unit/maps/map_fixture.hpp"

namespace sluice::bpf {
namespace {

TEST(Queue, FirstInFirstOutAndTheOldestMakesWay) {
  for (uint32_t type : {BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_STACK}) {
    auto map = make(spec_of(type, 0, 12, 3));
    const MapCore* core = &map->core();
    Bytes value(12, 9), zero(12, 0);
    EXPECT_EQ(map_pop_elem(core, value.data()), -ENOENT);
    EXPECT_EQ(value, zero) << "as in Linux, the program's buffer is zeroed";
    for (uint8_t i = 1; i <= 3; i++)
      ASSERT_EQ(map_push_elem(core, Bytes(12, i).data(), BPF_ANY), 0);
    EXPECT_EQ(map_push_elem(core, Bytes(12, 4).data(), BPF_ANY), -E2BIG);
    EXPECT_EQ(map_push_elem(core, Bytes(12, 4).data(), BPF_NOEXIST), -EINVAL);
    EXPECT_EQ(map_push_elem(core, Bytes(12, 4).data(), BPF_EXIST), 0);
    EXPECT_EQ(map->entries(), 3u);
    EXPECT_EQ(map->full_errors(), 1u);
    const bool stack = type == BPF_MAP_TYPE_STACK;
    for (int i = 0; i < 3; i++) {
      const Bytes expected(12, static_cast<uint8_t>(stack ? 4 - i : 2 + i));
      ASSERT_EQ(map_peek_elem(core, value.data()), 0);
      EXPECT_EQ(value, expected);
      ASSERT_EQ(map_pop_elem(core, value.data()), 0);
      EXPECT_EQ(value, expected);
    }
    EXPECT_EQ(map_peek_elem(core, value.data()), -ENOENT);
    EXPECT_EQ(map_update_elem(core, value.data(), value.data(), 0, 0), -EOPNOTSUPP);
  }
}

TEST(Bloom, KnowsWhatWasPushedAndLittleElse) {
  for (uint64_t hashes : {0ull, 1ull, 3ull, 15ull}) {
    MapSpec spec = spec_of(BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 1000);
    spec.extra = hashes;
    auto map = make(spec);
    EXPECT_EQ(map->core().hashes, hashes == 0 ? 5u : hashes);
    for (uint64_t value = 0; value < 1000; value++)
      ASSERT_EQ(map_push_elem(&map->core(), &value, BPF_ANY), 0);
    uint64_t wrong = 0;
    for (uint64_t value = 0; value < 11000; value++) {
      const bool found = map_peek_elem(&map->core(), &value) == 0;
      if (value < 1000) {
        ASSERT_TRUE(found) << value;
      } else {
        wrong += found;
      }
    }
    // (1 - e^(-k n / m))^k with m >= 1.4 k n bits: half at k = 1, a few per cent at 5.
    EXPECT_LT(wrong, hashes == 1 ? 6500u : 2500u) << hashes;
  }
}

struct Prefix {
  uint32_t bits;
  uint8_t data[4];
};

TEST(LpmTrie, LongestMatchAgainstASearchOfAll) {
  MapSpec spec = spec_of(BPF_MAP_TYPE_LPM_TRIE, sizeof(Prefix), 4, 2000);
  spec.flags = BPF_F_NO_PREALLOC;
  auto map = make(spec);
  const MapCore* core = &map->core();
  std::mt19937 random(1);
  std::vector<std::pair<uint32_t, uint32_t>> model;  // bits, prefix as a number
  const auto mask = [](uint32_t bits) { return bits == 0 ? 0 : ~0u << (32 - bits); };
  const auto prefix = [](uint32_t bits, uint32_t address) {
    Prefix key{bits, {}};
    address = __builtin_bswap32(address);
    std::memcpy(key.data, &address, 4);
    return key;
  };
  uint32_t hits = 0;
  for (int i = 0; i < 20000; i++) {
    const uint32_t bits = random() % 33,
                   address = random() % 4 == 0 ? random() : random() & 0xc0c03ff0u;
    const std::pair<uint32_t, uint32_t> entry(bits, address & mask(bits));
    const auto found = std::find(model.begin(), model.end(), entry);
    const Prefix key = prefix(bits, entry.second);
    if (random() % 3 == 0) {
      ASSERT_EQ(map_delete_elem(core, &key), found == model.end() ? -ENOENT : 0);
      if (found != model.end()) model.erase(found);
    } else if (found != model.end() || model.size() < 2000) {
      const uint32_t value = bits << 24 | (entry.second >> 8);
      ASSERT_EQ(map_update_elem(core, &key, &value, BPF_ANY, 0), 0);
      if (found == model.end()) model.push_back(entry);
    }
    ASSERT_EQ(map->entries(), model.size());
    const uint32_t wanted = random() & 0xffffbff8u;
    int best = -1;
    for (const auto& [length, start] : model) {
      if ((wanted & mask(length)) == start) best = std::max(best, static_cast<int>(length));
    }
    const Prefix question = prefix(32, wanted);
    const auto* value = static_cast<const uint32_t*>(map_lookup_elem(core, &question, 0));
    ASSERT_EQ(value != nullptr, best >= 0) << i;
    hits += value != nullptr;
    if (value != nullptr) {
      ASSERT_EQ(*value >> 24, static_cast<uint32_t>(best)) << i;
    }
  }
  EXPECT_GT(hits, 5000u);
  // Emptied and filled again: no node was lost.
  for (const auto& [bits, start] : model) {
    const Prefix key = prefix(bits, start);
    ASSERT_EQ(map_delete_elem(core, &key), 0);
  }
  for (uint32_t i = 0; i < 2000; i++) {
    const Prefix key = prefix(32, i * 2654435761u);
    ASSERT_EQ(map_update_elem(core, &key, &i, BPF_NOEXIST, 0), 0);
  }
  const Prefix more = prefix(31, 1);
  EXPECT_EQ(map_update_elem(core, &more, &more.bits, BPF_ANY, 0), -ENOSPC);
  EXPECT_EQ(map->full_errors(), 1u);
  const Prefix bad = prefix(33, 1);
  EXPECT_EQ(map_update_elem(core, &bad, &bad.bits, BPF_ANY, 0), -EINVAL);
  EXPECT_EQ(map_delete_elem(core, &bad), -EINVAL);
  EXPECT_EQ(map_lookup_elem(core, &bad, 0), nullptr);
}

TEST(Lru, FullMapTakesNewKeysAndKeepsWhatIsUsed) {
  for (uint32_t type : {BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH}) {
    for (uint32_t flags : {0u, static_cast<uint32_t>(BPF_F_NO_COMMON_LRU)}) {
      MapSpec spec = spec_of(type, 8, 8, 1000, 2);
      spec.flags = flags;
      auto map = make(spec);
      const MapCore* core = &map->core();
      uint64_t values[2] = {};
      for (uint64_t key = 0; key < 20000; key++) {
        const bool control = key % 3 == 0;
        ASSERT_EQ(control ? map->update(&key, values, BPF_NOEXIST)
                          : map_update_elem(core, &key, values, BPF_NOEXIST, 1),
                  0);
        ASSERT_LE(map->entries(), 1000u);
        ASSERT_EQ(map->lookup(&key, values), 0) << "what was just put in is there";
        for (uint64_t used = 0; used < 100; used++) {
          // Looked at every 200 insertions, of 1,000 that fit.
          if (key >= 100 && key % 200 == used) {
            ASSERT_NE(map_lookup_elem(core, &used, 0), nullptr) << used;
          }
        }
      }
      EXPECT_EQ(map->entries(), 1000u);
      uint64_t absent = 1000000;
      EXPECT_EQ(map_update_elem(core, &absent, values, BPF_EXIST, 0), -ENOENT);
      EXPECT_EQ(map->entries(), 1000u) << "nothing is evicted for it";
    }
  }
}

TEST(Lru, ControlReadsDoNotCountAsUse) {
  auto map = make(spec_of(BPF_MAP_TYPE_LRU_HASH, 8, 8, 100));
  uint64_t value = 0;
  for (uint64_t key = 0; key < 100; key++) ASSERT_EQ(map->update(&key, &value, BPF_ANY), 0);
  for (uint64_t key = 0; key < 50; key++) ASSERT_EQ(map->lookup(&key, &value), 0);
  for (uint64_t key = 50; key < 100; key++)
    ASSERT_NE(map_lookup_elem(&map->core(), &key, 0), nullptr);
  for (uint64_t key = 1000; key < 1050; key++) ASSERT_EQ(map->update(&key, &value, BPF_ANY), 0);
  for (uint64_t key = 0; key < 100; key++)
    EXPECT_EQ(map->lookup(&key, &value), key < 50 ? -ENOENT : 0) << key;
}

TEST(Redirect, ProgramsSeeDevicesThatAreThere) {
  for (uint32_t type : {BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH}) {
    auto map = make(spec_of(type, 4, 8, 4));
    EXPECT_NE(map->spec().flags & BPF_F_RDONLY_PROG, 0u);
    uint32_t key = 3, target[2] = {7, 0}, with_program[2] = {7, 5};
    EXPECT_EQ(map_lookup_elem(&map->core(), &key, 0), nullptr);
    EXPECT_EQ(map->update(&key, with_program, BPF_ANY), -EINVAL);
    ASSERT_EQ(map->update(&key, target, BPF_ANY), 0);
    auto* found = static_cast<uint32_t*>(map_lookup_elem(&map->core(), &key, 0));
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found[0], 7u);
    EXPECT_EQ(map->entries(), 1u);
    EXPECT_EQ(map->erase(&key), 0);
    EXPECT_EQ(map_lookup_elem(&map->core(), &key, 0), nullptr);
  }
}

}  // namespace
}  // namespace sluice::bpf
