// Ring buffer: what a consumer that maps the file sees, as libbpf does, and what a lying one can
// do.
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "tests/unit/maps/map_fixture.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kSize = 4096;
constexpr uint32_t kBits = BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT;

// A consumer as libbpf's: the consumer's page writable, the producer's and twice the data behind it
// read alone.
class Consumer {
 public:
  explicit Consumer(const Map& map) : size_(map.spec().max_entries) {
    position_ = static_cast<uint64_t*>(
        ::mmap(nullptr, kRingPage, PROT_READ | PROT_WRITE, MAP_SHARED, map.memory_file(), 0));
    producer_ = static_cast<const uint64_t*>(::mmap(nullptr, kRingPage + 2 * size_, PROT_READ,
                                                    MAP_SHARED, map.memory_file(), kRingPage));
    data_ = reinterpret_cast<const uint8_t*>(producer_) + kRingPage;
  }
  ~Consumer() {
    ::munmap(position_, kRingPage);
    ::munmap(const_cast<uint64_t*>(producer_), kRingPage + 2 * size_);
  }

  // Everything committed so far.
  std::vector<Bytes> read() {
    std::vector<Bytes> records;
    uint64_t at = *position_;
    while (at < __atomic_load_n(producer_, __ATOMIC_ACQUIRE)) {
      const auto* header = reinterpret_cast<const uint32_t*>(data_ + (at & (size_ - 1)));
      const uint32_t bits = __atomic_load_n(header, __ATOMIC_ACQUIRE);
      if ((bits & BPF_RINGBUF_BUSY_BIT) != 0) break;
      const auto* sample = reinterpret_cast<const uint8_t*>(header) + kRingHeader;
      const uint32_t length = bits & ~kBits;
      if ((bits & BPF_RINGBUF_DISCARD_BIT) == 0) records.emplace_back(sample, sample + length);
      at += (length + kRingHeader + 7) / 8 * 8;
      __atomic_store_n(position_, at, __ATOMIC_SEQ_CST);
    }
    return records;
  }
  // Whether there was a wake-up since the last call.
  bool woken() {
    const uint32_t now = __atomic_load_n(
        reinterpret_cast<const uint32_t*>(producer_) + kRingWakeups / 4, __ATOMIC_ACQUIRE);
    return std::exchange(wakeups_, now) != now;
  }
  [[nodiscard]] uint64_t producer() const { return __atomic_load_n(producer_, __ATOMIC_ACQUIRE); }
  void lie(uint64_t position) { __atomic_store_n(position_, position, __ATOMIC_SEQ_CST); }

 private:
  uint64_t size_;
  uint64_t* position_;
  const uint64_t* producer_;
  const uint8_t* data_;
  uint32_t wakeups_ = 0;
};

std::shared_ptr<Map> make_ring(uint32_t size = kSize) {
  return make(spec_of(BPF_MAP_TYPE_RINGBUF, 0, 0, size));
}

TEST(RingBuffer, ConsumerReadsWhatWasSubmittedInOrder) {
  auto map = make_ring();
  Consumer consumer(*map);
  const MapCore* core = &map->core();
  uint64_t number = 0, expected = 0;
  for (int round = 0; round < 500; round++) {
    for (int i = 0; i < 5; i++, number++) {
      const uint32_t size = 8 + static_cast<uint32_t>(number * 37 % 300);
      auto* sample = static_cast<uint8_t*>(ring_reserve(core, size, 0));
      ASSERT_NE(sample, nullptr) << number;
      ASSERT_EQ(reinterpret_cast<uintptr_t>(sample) % 8, 0u);
      ASSERT_LE(sample + size, core->values + kSize) << "a record does not cross the end";
      std::memset(sample, static_cast<int>(number), size);
      std::memcpy(sample, &number, 8);
      ring_commit(core, sample, 0, number % 7 == 3 ? uint32_t{BPF_RINGBUF_DISCARD_BIT} : 0);
    }
    for (const Bytes& record : consumer.read()) {
      if (expected % 7 == 3) expected++;
      ASSERT_EQ(word_at(record.data()), expected);
      ASSERT_EQ(record.size(), 8 + expected * 37 % 300);
      ASSERT_EQ(record.back(), record.size() > 8 ? static_cast<uint8_t>(expected) : record[7]);
      expected++;
    }
  }
  if (expected % 7 == 3) expected++;
  EXPECT_EQ(expected, number);
}

TEST(RingBuffer, BusyRecordHoldsTheConsumerUp) {
  auto map = make_ring();
  Consumer consumer(*map);
  void* first = ring_reserve(&map->core(), 8, 0);
  uint64_t second = 2;
  ASSERT_EQ(ring_output(&map->core(), &second, 8, 0), 0);
  EXPECT_TRUE(consumer.read().empty());
  EXPECT_EQ(ring_query(&map->core(), BPF_RB_AVAIL_DATA), 32u);
  std::memset(first, 1, 8);
  ring_commit(&map->core(), first, 0, 0);
  EXPECT_EQ(consumer.read().size(), 2u);
  EXPECT_EQ(ring_query(&map->core(), BPF_RB_AVAIL_DATA), 0u);
  EXPECT_EQ(ring_query(&map->core(), BPF_RB_RING_SIZE), kSize);
  EXPECT_EQ(ring_query(&map->core(), BPF_RB_CONS_POS), 32u);
  EXPECT_EQ(ring_query(&map->core(), BPF_RB_PROD_POS), 32u);
  EXPECT_EQ(ring_query(&map->core(), 99), 0u);
}

TEST(RingBuffer, FullOneRefusesAndCounts) {
  auto map = make_ring();
  const MapCore* core = &map->core();
  Bytes data(1016);
  for (int i = 0; i < 3; i++) ASSERT_EQ(ring_output(core, data.data(), 1016, 0), 0);
  EXPECT_EQ(ring_output(core, data.data(), 1016, 0), -EAGAIN)
      << "a byte less than all of it fits, as in Linux";
  EXPECT_EQ(ring_output(core, data.data(), 1008, 0), 0);
  EXPECT_EQ(ring_output(core, data.data(), 1, 0), -EAGAIN);
  EXPECT_EQ(ring_reserve(core, 1, 0), nullptr);
  EXPECT_EQ(map->full_errors(), 3u);
  EXPECT_EQ(ring_reserve(core, 8, 1), nullptr) << "flags";
  EXPECT_EQ(ring_output(core, data.data(), 8, 4), -EINVAL);
  for (uint64_t size : {uint64_t{kSize}, uint64_t{kSize - 7}, uint64_t{1} << 31, UINT64_MAX}) {
    EXPECT_EQ(ring_reserve(core, size, 0), nullptr) << size;
  }
}

// A record that fits an empty ring but not what is left of it before the end.
TEST(RingBuffer, PaddingAloneIsCommittedWhereTheRestIsTooShort) {
  auto map = make_ring();
  Consumer consumer(*map);
  Bytes data(3000, 7);
  for (int i = 0; i < 20; i++) {
    if (ring_output(&map->core(), data.data(), data.size(), 0) != 0) {
      EXPECT_TRUE(consumer.woken()) << "the consumer has the padding to skip";
      consumer.read();
      ASSERT_EQ(ring_output(&map->core(), data.data(), data.size(), 0), 0) << i;
    }
    auto records = consumer.read();
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0], data);
  }
}

TEST(RingBuffer, ConsumerIsWokenWhenItHadReadAllOrIsTold) {
  auto map = make_ring();
  Consumer consumer(*map);
  const MapCore* core = &map->core();
  uint64_t data = 1;
  EXPECT_FALSE(consumer.woken());
  ring_output(core, &data, 8, 0);
  EXPECT_TRUE(consumer.woken());
  EXPECT_FALSE(consumer.woken());
  ring_output(core, &data, 8, 0);
  EXPECT_FALSE(consumer.woken()) << "it has not read the first yet";
  ring_output(core, &data, 8, BPF_RB_FORCE_WAKEUP);
  EXPECT_TRUE(consumer.woken());
  consumer.read();
  ring_output(core, &data, 8, BPF_RB_NO_WAKEUP);
  EXPECT_FALSE(consumer.woken());
  ring_output(core, &data, 8, 0);
  EXPECT_FALSE(consumer.woken()) << "it has not read the one before";
  consumer.read();
  ring_output(core, &data, 8, 0);
  EXPECT_TRUE(consumer.woken());
}

// The record is not where the consumer stands, but nothing else is between them.
TEST(RingBuffer, ConsumerIsWokenForARecordBehindPadding) {
  auto map = make_ring();
  Consumer consumer(*map);
  Bytes data(1000);
  for (int i = 0; i < 20; i++) {
    ASSERT_EQ(ring_output(&map->core(), data.data(), data.size(), 0), 0);
    EXPECT_TRUE(consumer.woken()) << i;
    ASSERT_EQ(consumer.read().size(), 1u);
  }
  ASSERT_EQ(ring_output(&map->core(), data.data(), data.size(), BPF_RB_NO_WAKEUP), 0);
  EXPECT_FALSE(consumer.woken());
}

TEST(RingBuffer, AWaitForWakeUpsEndsWhenTheMapIsTold) {
  auto map = make_ring();
  const auto* pages = static_cast<const uint8_t*>(
      ::mmap(nullptr, 2 * kRingPage, PROT_READ, MAP_SHARED, map->memory_file(), 0));
  ASSERT_NE(pages, MAP_FAILED);
  const auto* count = reinterpret_cast<const uint32_t*>(pages + kRingPage + kRingWakeups);
  std::thread consumer([count] {
    while (__atomic_load_n(count, __ATOMIC_ACQUIRE) == 0) {
      ::syscall(SYS_futex, count, FUTEX_WAIT, 0, nullptr, nullptr, 0);
    }
  });
  uint64_t data = 1;
  ASSERT_EQ(ring_output(&map->core(), &data, 8, 0), 0);
  map->wake_clients();
  consumer.join();
  ::munmap(const_cast<uint8_t*>(pages), 2 * kRingPage);
}

TEST(RingBuffer, LyingConsumerHarmsItselfAlone) {
  auto map = make_ring();
  Consumer consumer(*map);
  const MapCore* core = &map->core();
  uint32_t given = 0;
  for (uint64_t lie : {uint64_t{8}, uint64_t{4095}, uint64_t{1} << 63, UINT64_MAX,
                       uint64_t{0x123457}, uint64_t{0}}) {
    consumer.lie(lie);
    for (uint32_t size = 1; size < kSize; size += 97) {
      auto* sample = static_cast<uint8_t*>(ring_reserve(core, size, 0));
      if (sample == nullptr) continue;
      given++;
      ASSERT_GE(sample, core->values + kRingHeader);
      ASSERT_LE(sample + size, core->values + kSize);
      std::memset(sample, 0xff, size);
      // the others stay busy, and are not given out again
      if (size % 2 == 0) ring_commit(core, sample, 0, 0);
    }
    EXPECT_LE(ring_query(core, BPF_RB_AVAIL_DATA), uint64_t{kSize});
  }
  EXPECT_GT(given, 0u);
}

TEST(RingBuffer, ManyProducersLoseAndTearNothing) {
  auto map = make_ring(1u << 16);
  Consumer consumer(*map);
  constexpr uint64_t kEach = 20000, kProducers = 3;
  std::vector<std::thread> producers;
  for (uint64_t id = 0; id < kProducers; id++) {
    producers.emplace_back([&map, id] {
      for (uint64_t i = 0; i < kEach;) {
        const uint64_t words[4] = {id, i, id ^ i, ~i};
        const uint32_t size = 8 * (2 + i % 3);
        if (ring_output(&map->core(), words, size, 0) == 0) i++;
      }
    });
  }
  uint64_t next[kProducers] = {}, wrong = 0, total = 0;
  while (total < kEach * kProducers) {
    for (const Bytes& record : consumer.read()) {
      uint64_t words[4] = {};
      std::memcpy(words, record.data(), record.size());
      const uint64_t i = words[1];
      if (words[0] >= kProducers || i != next[words[0]]++ || record.size() != 8 * (2 + i % 3))
        wrong++;
      if (record.size() > 16 && words[2] != (words[0] ^ i)) wrong++;
      total++;
    }
  }
  for (std::thread& producer : producers) producer.join();
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace sluice::bpf
