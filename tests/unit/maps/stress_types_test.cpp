// The map types that stress_test.cpp has no model for: references, redirect targets and bloom
// filters under two programs and two control threads at once. Run with -Db_sanitize=thread too.
#include <atomic>
#include <functional>
#include <mutex>
#include <random>
#include <thread>

#include "bpf/maps/map_checks.hpp"
#include "tests/unit/maps/map_fixture.hpp"
#include "tests/unit/maps/stress_time.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kPrograms = 2;
constexpr uint32_t kKeys = 6;  // two of them more than the maps have places for

// Lets go of what was retired once both programs have been seen between two runs.
class TestGrace final : public Grace {
 public:
  void retire(std::shared_ptr<const void> reference) override {
    std::lock_guard guard(lock_);
    waiting_.push_back({std::move(reference), {rounds[0].load(), rounds[1].load()}});
    std::erase_if(waiting_, [this](const Waiting& old) {
      return rounds[0].load() != old.seen[0] && rounds[1].load() != old.seen[1];
    });
  }
  void wait() override {}
  std::atomic<uint64_t> rounds[kPrograms] = {};

 private:
  struct Waiting {
    std::shared_ptr<const void> reference;
    uint64_t seen[kPrograms];
  };
  std::mutex lock_;
  std::vector<Waiting> waiting_;
};

void run_together(const std::function<void(uint32_t)>& program,
                  const std::function<void(std::mt19937_64&)>& control) {
  const auto end = stress_end();
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kPrograms; i++) {
    threads.emplace_back([&, i] {
      while (std::chrono::steady_clock::now() < end) {
        for (int round = 0; round < 100; round++) program(i);
      }
    });
  }
  for (uint32_t seed : {7u, 8u}) {
    threads.emplace_back([&, seed] {
      std::mt19937_64 random(seed);
      while (std::chrono::steady_clock::now() < end) {
        for (int round = 0; round < 20; round++) control(random);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void walk(Map& map, std::atomic<uint64_t>& wrong) {
  uint32_t key = 0;
  int error = map.next_key(nullptr, &key);
  for (uint32_t steps = 0; error == 0 && steps < 10 * kKeys; steps++)
    error = map.next_key(&key, &key);
  if (error != 0 && error != -ENOENT) wrong++;
}

std::string name_of(const testing::TestParamInfo<uint32_t>& info) {
  return std::string(find_map_type(info.param)->name);
}

constexpr uint64_t kAlive = 0x600d;

// What a prog_array, perf_event_array or xskmap refers to: for the map a mere address.
struct Referred {
  std::atomic<uint64_t> state{kAlive};
  ~Referred() { state = 0; }
};

class References : public testing::TestWithParam<uint32_t> {
 protected:
  [[nodiscard]] bool of_maps() const {
    return find_map_type(GetParam())->reference == ReferenceKind::map;
  }

  MapReference made(uint32_t id) const {
    if (!of_maps()) {
      auto referred = std::make_shared<Referred>();
      const void* target = referred.get();
      return {std::move(referred), target, id, 0, nullptr};
    }
    auto inner = make(spec_of(BPF_MAP_TYPE_ARRAY, 4, 8, 1));
    const uint32_t zero = 0;
    EXPECT_EQ(inner->update(&zero, &kAlive, BPF_ANY), 0);
    const MapCore* core = &inner->core();
    const Map* map = inner.get();
    return {std::move(inner), core, id, 0, map};
  }

  // What a program finds under the key is what was put in, and still there.
  bool good(const MapCore* outer, uint32_t key) const {
    if (!of_maps()) {
      const auto* referred = static_cast<const Referred*>(reference_at(outer, key));
      return referred == nullptr || referred->state == kAlive;
    }
    const auto* core = static_cast<const MapCore*>(map_lookup_elem(outer, &key, 0));
    const uint32_t zero = 0;
    return core == nullptr || word_at(map_lookup_elem(core, &zero, 0)) == kAlive;
  }
};

TEST_P(References, WhatAProgramFindsLivesAsLongAsItLooks) {
  TestGrace grace;
  MapSpec spec = spec_of(GetParam(), 4, 4, kKeys - 2);
  spec.grace = &grace;
  if (of_maps()) spec.inner = make(spec_of(BPF_MAP_TYPE_ARRAY, 4, 8, 1));
  auto map = make(spec);
  std::atomic<uint64_t> wrong{0}, put{0};
  const auto program = [&](uint32_t number) {
    for (uint32_t key = 0; key < kKeys; key++) {
      if (!good(&map->core(), key)) wrong++;
    }
    grace.rounds[number]++;
  };
  const auto control = [&](std::mt19937_64& random) {
    const uint32_t key = random() % kKeys;
    // tells the key it is for
    const auto number = static_cast<uint32_t>(random() % 1000 * kKeys + key);
    uint32_t id = 0;
    int error = 0;
    switch (random() % 4) {
      case 0:
      case 1:
        error = map->set_reference(&key, made(number), BPF_ANY);
        if (error == 0) put++;
        break;
      case 2: error = map->erase(&key); break;
      default:
        error = map->lookup(&key, &id);
        if (error == 0 && id % kKeys != key) wrong++;
        walk(*map, wrong);
    }
    const bool usual = error == 0 || error == -ENOENT || error == -E2BIG || error == -EINVAL ||
                       error == -kNotSupported || error == -EOPNOTSUPP;
    if (!usual) wrong++;
  };
  run_together(program, control);
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(put, 0u);
  uint64_t there = 0;
  for (uint32_t key = 0; key < kKeys; key++) {
    there += of_maps() ? map_lookup_elem(&map->core(), &key, 0) != nullptr
                       : reference_at(&map->core(), key) != nullptr;
  }
  EXPECT_EQ(map->entries(), there);
}

INSTANTIATE_TEST_SUITE_P(EveryType, References,
                         testing::Values(BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_PERF_EVENT_ARRAY,
                                         BPF_MAP_TYPE_XSKMAP, BPF_MAP_TYPE_ARRAY_OF_MAPS,
                                         BPF_MAP_TYPE_HASH_OF_MAPS),
                         name_of);

class Targets : public testing::TestWithParam<uint32_t> {};

TEST_P(Targets, AValueIsOneThatWasPutThere) {
  auto map = make(spec_of(GetParam(), 4, 8, kKeys - 2));
  std::atomic<uint64_t> wrong{0}, put{0};
  // An id tells the key it is for, and the program's place stays empty.
  const auto good = [](uint64_t value, uint32_t key) {
    return value >> 32 == 0 && value % 16 == key + 1;
  };
  const auto program = [&](uint32_t) {
    for (uint32_t key = 0; key < kKeys; key++) {
      const void* value = map_lookup_elem(&map->core(), &key, 0);
      // Between the look that found it and this one it may have been erased (0), or its element of
      // a hash used again.
      const uint64_t word = value == nullptr ? 0 : word_at(value);
      const bool known = GetParam() == BPF_MAP_TYPE_DEVMAP_HASH
                             ? word % 16 <= kKeys && word >> 32 == 0
                             : good(word, key);
      if (word != 0 && !known) wrong++;
    }
  };
  const auto control = [&](std::mt19937_64& random) {
    const uint32_t key = random() % kKeys;
    uint64_t value = random() % 1000 * 16 + key + 1;
    int error = 0;
    switch (random() % 4) {
      case 0:
      case 1:
        error = map->update(&key, &value, BPF_ANY);
        if (error == 0) put++;
        break;
      case 2: error = map->erase(&key); break;
      default:
        error = map->lookup(&key, &value);
        if (error == 0 && value != 0 && !good(value, key)) wrong++;
        walk(*map, wrong);
    }
    if (error != 0 && error != -ENOENT && error != -E2BIG && error != -EINVAL && error != -ENODEV)
      wrong++;
  };
  run_together(program, control);
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(put, 0u);
  uint64_t there = 0;
  for (uint32_t key = 0; key < kKeys; key++)
    there += map_lookup_elem(&map->core(), &key, 0) != nullptr;
  EXPECT_EQ(map->entries(), there);
}

INSTANTIATE_TEST_SUITE_P(EveryType, Targets,
                         testing::Values(BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_CPUMAP,
                                         BPF_MAP_TYPE_DEVMAP_HASH),
                         name_of);

TEST(BloomConcurrently, WhatWasPushedIsFoundFromThenOn) {
  constexpr uint64_t kEach = 400, kWriters = 4;
  MapSpec spec = spec_of(BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, kEach * kWriters);
  spec.extra = 3;
  auto map = make(spec);
  std::atomic<uint64_t> wrong{0};
  const auto end = stress_end();
  const auto writer = [&](uint64_t who) {
    uint64_t pushed = 0;
    std::mt19937_64 random(who);
    do {
      uint64_t value = who << 32 | pushed;
      if (pushed < kEach) {
        const long error = who % 2 == 0 ? map->update(nullptr, &value, BPF_ANY)
                                        : map_push_elem(&map->core(), &value, BPF_ANY);
        if (error != 0) wrong++;
        pushed++;
      }
      value = who << 32 | random() % pushed;
      if ((who % 2 == 0 ? map_peek_elem(&map->core(), &value) : map->lookup(nullptr, &value)) != 0)
        wrong++;
    } while (std::chrono::steady_clock::now() < end);
  };
  std::vector<std::thread> threads;
  for (uint64_t who = 0; who < kWriters; who++) threads.emplace_back(writer, who);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace sluice::bpf
