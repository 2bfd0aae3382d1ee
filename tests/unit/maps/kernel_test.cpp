// The same random operations on our map and on the kernel's: results, values and, where it is
// defined, order agree.
#include <algorithm>
#include <fstream>
#include <random>
#include <set>

#include "bpf/maps/map_checks.hpp"
#include "bpf/maps/map_types.hpp"
#include "tests/unit/maps/kernel_map.hpp"
#include "tests/unit/maps/map_fixture.hpp"

namespace sluice::bpf {
namespace {

constexpr int kOperations = 4000;

struct Row {
  const char* name;
  uint32_t type, key_size, value_size, max_entries, flags;
  // Different ones that are used; for the LRU kinds no more than fit, since eviction is
  // approximate.
  uint32_t keys;
  bool ordered;  // GET_NEXT_KEY has an order
};

const Row kRows[] = {
    {"hash", BPF_MAP_TYPE_HASH, 4, 8, 20, 0, 40, false},
    {"hash_no_prealloc", BPF_MAP_TYPE_HASH, 13, 5, 20, BPF_F_NO_PREALLOC, 30, false},
    {"hash_long_key", BPF_MAP_TYPE_HASH, 600, 24, 20, 0, 30, false},
    {"array", BPF_MAP_TYPE_ARRAY, 4, 12, 20, 0, 24, true},
    {"percpu_hash", BPF_MAP_TYPE_PERCPU_HASH, 4, 12, 20, 0, 40, false},
    {"percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 12, 20, 0, 24, true},
    {"lru_hash", BPF_MAP_TYPE_LRU_HASH, 4, 8, 4000, 0, 40, false},
    {"lru_percpu_hash", BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, 4000, 0, 40, false},
    {"lpm_8", BPF_MAP_TYPE_LPM_TRIE, 5, 8, 60, BPF_F_NO_PREALLOC, 0, true},
    {"lpm_ipv4", BPF_MAP_TYPE_LPM_TRIE, 8, 8, 60, BPF_F_NO_PREALLOC, 0, true},
    {"lpm_ipv6", BPF_MAP_TYPE_LPM_TRIE, 20, 4, 60, BPF_F_NO_PREALLOC, 0, true},
    {"lpm_long", BPF_MAP_TYPE_LPM_TRIE, 260, 8, 60, BPF_F_NO_PREALLOC, 0, true},
    {"queue", BPF_MAP_TYPE_QUEUE, 0, 8, 5, 0, 0, true},
    {"stack", BPF_MAP_TYPE_STACK, 0, 12, 5, 0, 0, true},
    {"bloom", BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 100000, BPF_F_ZERO_SEED, 0, true},
    {"ringbuf", BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0, 0, true},
    {"devmap", BPF_MAP_TYPE_DEVMAP, 4, 8, 10, 0, 14, true},
    {"devmap_short", BPF_MAP_TYPE_DEVMAP, 4, 4, 10, 0, 14, true},
    {"devmap_hash", BPF_MAP_TYPE_DEVMAP_HASH, 4, 8, 10, 0, 24, false},
    {"cpumap", BPF_MAP_TYPE_CPUMAP, 4, 4, 2, 0, 4, true},
};

// Copies of a per-CPU value in the kernel's commands.
uint32_t possible_cpus() {
  std::ifstream list("/sys/devices/system/cpu/possible");
  std::string text;
  std::getline(list, text);
  return static_cast<uint32_t>(std::stoul(text.substr(text.find_last_of("-,") + 1))) + 1;
}

MapSpec spec_of_row(const Row& row) {
  MapSpec spec = spec_of(row.type, row.key_size, row.value_size, row.max_entries);
  spec.flags = row.flags;
  if (is_per_cpu(row.type)) spec.slots = possible_cpus();
  return spec;
}

class AgainstKernel : public testing::TestWithParam<Row> {
 protected:
  void SetUp() override {
    if (!kernel_maps_allowed()) GTEST_SKIP() << "bpf(2) is not permitted here";
  }
};

Bytes random_key(const Row& row, std::mt19937& random) {
  if (row.type != BPF_MAP_TYPE_LPM_TRIE) return key_of(random() % row.keys, row.key_size);
  // Few bits differ, so that prefixes nest, fork and repeat; now and then one that is too long.
  const uint32_t bits = (row.key_size - 4) * 8;
  const uint32_t length = random() % 20 == 0  ? bits + random() % 3
                          : random() % 4 == 0 ? bits
                                              : random() % (bits + 1);
  Bytes key(row.key_size);
  std::memcpy(key.data(), &length, 4);
  for (int flips = random() % 4; flips > 0; flips--) {
    const uint32_t bit = random() % std::min(bits, 12u);
    key[4 + bit / 8] |= static_cast<uint8_t>(0x80 >> bit % 8);
  }
  if (random() % 3 == 0) key.back() = static_cast<uint8_t>(random());
  return key;
}

Bytes random_value(const Row& row, uint32_t size, std::mt19937& random) {
  Bytes value(size);
  for (uint8_t& byte : value) byte = static_cast<uint8_t>(random());
  if (row.type == BPF_MAP_TYPE_BLOOM_FILTER) {
    for (uint8_t& byte : value) byte = static_cast<uint8_t>(byte % 2);
  }
  if (row.type == BPF_MAP_TYPE_DEVMAP || row.type == BPF_MAP_TYPE_DEVMAP_HASH) {
    const uint32_t interface = random() % 2;  // none, or the loopback that every machine has
    std::fill(value.begin(), value.end(), 0);
    std::memcpy(value.data(), &interface, 4);
  }
  if (row.type == BPF_MAP_TYPE_CPUMAP) {
    const uint32_t queue = std::vector<uint32_t>{0, 1, 192, 16384, 16385, 0xffffffff}[random() % 6];
    std::memcpy(value.data(), &queue, 4);
  }
  return value;
}

const void* pointer_or_null(const Bytes& key) { return key.empty() ? nullptr : key.data(); }

// Every key, in order; each next_key from the one before.
template <class AnyMap>
std::vector<Bytes> walk(AnyMap& map, const Row& row) {
  std::vector<Bytes> keys;
  Bytes key(row.key_size);
  int error = map.next_key(nullptr, key.data());
  while (error == 0 && keys.size() < 100000) {
    keys.push_back(key);
    error = map.next_key(keys.back().data(), key.data());
  }
  return keys;
}

TEST_P(AgainstKernel, RandomOperationsHaveTheSameResults) {
  const Row& row = GetParam();
  const MapSpec spec = spec_of_row(row);
  auto ours = make(spec);
  KernelMap theirs(spec);
  ASSERT_EQ(theirs.error(), 0);
  const uint32_t size = std::max(ours->user_value_size(), 1u);
  std::mt19937 random(row.type * 1000 + row.key_size);
  std::set<int> seen;
  for (int i = 0; i < kOperations; i++) {
    const Bytes key = row.key_size == 0 ? Bytes() : random_key(row, random);
    const Bytes value = random_value(row, size, random);
    const uint64_t flags =
        std::vector<uint64_t>{0, 0, 0, 0, BPF_NOEXIST, BPF_EXIST, 3, BPF_F_LOCK}[random() % 8];
    const uint64_t read_flags = random() % 10 == 0 ? flags : 0;
    Bytes a = value, b = value, next_a(row.key_size), next_b(row.key_size);
    int mine = 0, kernels = 0;
    const uint32_t what = random() % 10;
    if (what < 5) {
      mine = ours->update(pointer_or_null(key), value.data(), flags);
      kernels = theirs.update(pointer_or_null(key), value.data(), flags);
    } else if (what < 7) {
      mine = ours->lookup(pointer_or_null(key), a.data(), read_flags);
      kernels = theirs.lookup(pointer_or_null(key), b.data(), read_flags);
    } else if (what == 7) {
      if (row.key_size == 0) continue;  // the kernel's commands refuse them before the map is asked
      mine = ours->erase(key.data());
      kernels = theirs.erase(key.data());
    } else if (what == 8) {
      mine = ours->lookup_and_erase(pointer_or_null(key), a.data(), read_flags);
      kernels = theirs.lookup_and_erase(pointer_or_null(key), b.data(), read_flags);
    } else if (row.ordered && row.key_size != 0) {
      mine = ours->next_key(key.data(), next_a.data());
      kernels = theirs.next_key(key.data(), next_b.data());
    }
    seen.insert(mine);
    ASSERT_EQ(mine, kernels) << "operation " << i << " kind " << what << " flags " << flags << "/"
                             << read_flags;
    if (mine == 0) {
      ASSERT_EQ(a, b) << "operation " << i;
    }
    ASSERT_EQ(next_a, next_b) << "operation " << i;
    if (i % 100 != 0 || row.key_size == 0) continue;
    auto my_keys = walk(*ours, row), their_keys = walk(theirs, row);
    if (!row.ordered) {
      std::sort(my_keys.begin(), my_keys.end());
      std::sort(their_keys.begin(), their_keys.end());
    }
    ASSERT_EQ(my_keys, their_keys) << "operation " << i;
  }
  EXPECT_GE(seen.size(), row.type == BPF_MAP_TYPE_RINGBUF ? 1u : 3u);
}

TEST_P(AgainstKernel, EveryFlagAndShapeIsAcceptedOrRefusedAlike) {
  const Row& row = GetParam();
  for (uint32_t bit = 0; bit < 32; bit++) {
    MapSpec spec = spec_of_row(row);
    spec.flags ^= 1u << bit;
    // The command itself decides of those: access rights of the descriptor, tokens, path and link
    // descriptors.
    if (bit >= 13 || (spec.flags & (BPF_F_RDONLY | BPF_F_WRONLY)) != 0) continue;
    const auto ours = Map::create(spec);
    EXPECT_EQ(ours ? 0 : -ours.error().code, KernelMap(spec).error()) << "flag bit " << bit;
  }
  for (uint32_t key_size : {0u, 1u, 4u, 5u, 8u, 260u, 261u, 513u}) {
    for (uint32_t value_size : {0u, 1u, 4u, 8u, 12u, 4u << 20}) {
      for (uint32_t max_entries : {0u, 1u, 7u, 4096u}) {
        if (value_size > 4096 && max_entries > 1) continue;  // gigabytes
        MapSpec spec = spec_of_row(row);
        spec.key_size = key_size;
        spec.value_size = value_size;
        spec.max_entries = max_entries;
        const auto ours = Map::create(spec);
        EXPECT_EQ(ours ? 0 : -ours.error().code, KernelMap(spec).error())
            << "key " << key_size << " value " << value_size << " entries " << max_entries;
      }
    }
  }
  for (uint64_t extra : {1ull, 15ull, 16ull, 1ull << 40}) {
    MapSpec spec = spec_of_row(row);
    spec.extra = extra;
    const auto ours = Map::create(spec);
    EXPECT_EQ(ours ? 0 : -ours.error().code, KernelMap(spec).error()) << "extra " << extra;
  }
}

TEST_P(AgainstKernel, BatchesEndAlike) {
  const Row& row = GetParam();
  const MapSpec spec = spec_of_row(row);
  auto ours = make(spec);
  KernelMap theirs(spec);
  ASSERT_EQ(theirs.error(), 0);
  const uint32_t size = std::max(ours->user_value_size(), 1u);
  std::mt19937 random(5);
  for (int i = 0; i < 30 && row.key_size != 0; i++) {
    const Bytes key = random_key(row, random), value = random_value(row, size, random);
    ASSERT_EQ(ours->update(key.data(), value.data(), BPF_ANY),
              theirs.update(key.data(), value.data(), BPF_ANY));
  }
  for (bool and_erase : {false, true}) {
    const uint32_t room = row.max_entries + 10;
    Bytes token_a(300), token_b(300), keys_a(size_t{room} * row.key_size), keys_b = keys_a;
    Bytes values_a(size_t{room} * size), values_b = values_a;
    Batch a{nullptr, token_a.data(), keys_a.data(), values_a.data(), room};
    Batch b{nullptr, token_b.data(), keys_b.data(), values_b.data(), room};
    const int mine = ours->lookup_batch(a, and_erase), kernels = theirs.lookup_batch(b, and_erase);
    EXPECT_EQ(mine, kernels) << and_erase;
    if (mine == -kNotSupported) continue;
    EXPECT_EQ(a.count, b.count);
    if (row.ordered) {
      EXPECT_EQ(keys_a, keys_b);
      EXPECT_EQ(values_a, values_b);
    }
    Batch bad{nullptr, token_a.data(), keys_a.data(), values_a.data(), room, BPF_EXIST},
        worse = bad;
    EXPECT_EQ(ours->lookup_batch(bad, and_erase), theirs.lookup_batch(worse, and_erase));
  }
}

INSTANTIATE_TEST_SUITE_P(EveryType, AgainstKernel, testing::ValuesIn(kRows),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace sluice::bpf
