// perf_event_array: rings made in user space, as their readers see them.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include "base/perf_ring.hpp"
#include "base/unique_fd.hpp"
#include "bpf/maps/map_types.hpp"
#include "bpf/maps/perf_ops.hpp"
#include "bpf/maps/reference_map.hpp"
#include "tests/unit/maps/map_fixture.hpp"

namespace sluice::bpf {
namespace {

// A reader's ring of one page of records.
struct Reader {
  UniqueFd file{::memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  uint8_t* pages = nullptr;

  explicit Reader(uint32_t cpu, uint64_t data_bytes = kPerfPage,
                  int seals = F_SEAL_SHRINK | F_SEAL_GROW, PerfRingMark mark = {}) {
    mark.cpu = cpu;
    EXPECT_EQ(::ftruncate(file.get(), kPerfPage + kPerfDataMax), 0);
    EXPECT_EQ(::pwrite(file.get(), &mark, sizeof mark, kPerfMarkAt), ssize_t{sizeof mark});
    EXPECT_EQ(::pwrite(file.get(), &data_bytes, sizeof data_bytes,
                       offsetof(perf_event_mmap_page, data_size)),
              8);
    EXPECT_EQ(::fcntl(file.get(), F_ADD_SEALS, seals), 0);
    pages = static_cast<uint8_t*>(
        ::mmap(nullptr, 2 * kPerfPage, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
  }
  ~Reader() { ::munmap(pages, 2 * kPerfPage); }
  perf_event_mmap_page* page() const { return reinterpret_cast<perf_event_mmap_page*>(pages); }
  uint32_t wakeups() const { return reinterpret_cast<PerfRingMark*>(pages + kPerfMarkAt)->wakeups; }
  // The records since the last call: each its type, then its bytes behind the header.
  std::vector<std::pair<uint32_t, std::string>> take() const {
    std::vector<std::pair<uint32_t, std::string>> records;
    while (page()->data_tail < page()->data_head) {
      std::string bytes;
      const auto byte_at = [&](uint64_t at) {
        return static_cast<char>(pages[kPerfPage + at % kPerfPage]);
      };
      perf_event_header header;
      for (uint64_t i = 0; i < sizeof header; i++)
        reinterpret_cast<char*>(&header)[i] = byte_at(page()->data_tail + i);
      for (uint64_t i = sizeof header; i < header.size; i++)
        bytes += byte_at(page()->data_tail + i);
      records.emplace_back(header.type, bytes);
      page()->data_tail += header.size;
    }
    return records;
  }
};

class PerfRings : public testing::Test {
 protected:
  std::shared_ptr<Map> map_ = make(spec_of(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2));
  const MapCore* core_ = &map_->core();

  int put(uint32_t index, const Reader& reader) {
    MapReference reference;
    const int error = reference_file(ReferenceKind::perf_event, reader.file.get(), &reference);
    return error != 0 ? error : map_->set_reference(&index, reference, BPF_ANY);
  }
  long send(std::string_view text, uint64_t packet_bytes = 0, uint32_t slot = 1) {
    const PerfSample sample{text.data(), text.size(), "packet", 6, 77};
    return perf_event_output(core_, BPF_F_CURRENT_CPU | packet_bytes << 32, slot, sample);
  }
};

TEST_F(PerfRings, RecordsComeAsTheKernelWritesThem) {
  const Reader reader(1);
  ASSERT_EQ(put(1, reader), 0);
  EXPECT_EQ(send("0123456789ab"), 0);       // 8 + 4 + 12: nothing fills it up
  EXPECT_EQ(send("0123456789abc", 3), 0);   // 8 + 4 + 13 + 3, and 4 that do
  EXPECT_EQ(send("x", 7), -EFAULT);
  const std::string large(70'000, 'x');
  EXPECT_EQ(send(large), -E2BIG);
  const auto records = reader.take();
  ASSERT_EQ(records.size(), 2u);
  const uint32_t sample = PERF_RECORD_SAMPLE;
  EXPECT_EQ(records[0], std::make_pair(sample, std::string("\x0c\0\0\0" "0123456789ab", 16)));
  EXPECT_EQ(records[1], std::make_pair(sample, std::string("\x14\0\0\0"
                                                           "0123456789abcpac\0\0\0\0",
                                                           24)));
}

TEST_F(PerfRings, TheTimeIsThereWhereTheEventWasOpenedWithIt) {
  const Reader reader(1, kPerfPage, F_SEAL_SHRINK | F_SEAL_GROW, {.with_time = 1});
  ASSERT_EQ(put(1, reader), 0);
  EXPECT_EQ(send("abcd"), 0);
  const auto records = reader.take();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].second, std::string("\x4d\0\0\0\0\0\0\0\x04\0\0\0" "abcd", 16));
}

TEST_F(PerfRings, WhatHasNoRoomIsCountedAndTold) {
  const Reader reader(1);
  ASSERT_EQ(put(1, reader), 0);
  const std::string text(1000, 't');
  for (int round = 0; round < 20; round++) {  // around the ring's end many times
    int sent = 0;
    while (send(text) == 0) sent++;
    EXPECT_EQ(send(text), -ENOSPC);
    auto records = reader.take();
    if (round > 0) {
      ASSERT_FALSE(records.empty());
      uint64_t lost = 0;
      std::memcpy(&lost, records[0].second.data() + 8, sizeof lost);
      EXPECT_EQ(records[0].first, uint32_t{PERF_RECORD_LOST});
      EXPECT_EQ(lost, 2u);
      records.erase(records.begin());
    }
    ASSERT_EQ(records.size(), static_cast<size_t>(sent));
    EXPECT_EQ(sent, 4);  // of 1,016 bytes, and 24 to tell
    for (const auto& [type, bytes] : records) EXPECT_EQ(bytes.substr(4, text.size()), text);
  }
}

TEST_F(PerfRings, AReaderIsWokenAfterAsManySamplesOrBytesAsItSaid) {
  struct Case {
    const char* what;
    PerfRingMark mark;
    std::vector<uint32_t> wakeups;  // after each record of 512 bytes
  };
  const Case cases[] = {
      {"each sample", {.wakeup_events = 1}, {1, 2, 3, 4}},
      {"every third, and half of the ring", {.wakeup_events = 3}, {0, 0, 1, 1, 2, 3, 3}},
      {"half of the ring", {}, {0, 0, 0, 0, 1, 1, 1}},
      {"1,000 bytes", {.wakeup_bytes = 1000}, {0, 1, 1, 2, 2, 3, 3}},
      {"more than the ring holds", {.wakeup_bytes = 5000}, {0, 0, 0, 0, 0, 0, 0}},
  };
  const std::string text(512 - sizeof(perf_event_header) - sizeof(uint32_t), 't');
  for (const Case& one : cases) {
    SCOPED_TRACE(one.what);
    const Reader reader(1, kPerfPage, F_SEAL_SHRINK | F_SEAL_GROW, one.mark);
    ASSERT_EQ(put(1, reader), 0);
    for (const uint32_t wakeups : one.wakeups) {
      ASSERT_EQ(send(text), 0);
      EXPECT_EQ(reader.wakeups(), wakeups);
    }
  }
}

TEST_F(PerfRings, AReaderThatLiesGetsNoRecords) {
  const Reader reader(1);
  ASSERT_EQ(put(1, reader), 0);
  for (const uint64_t tail : {uint64_t{1}, uint64_t{1} << 40, uint64_t{1} << 63}) {
    reader.page()->data_tail = tail;
    EXPECT_EQ(send("text"), -ENOSPC) << tail;
  }
  reader.page()->data_tail = 0;
  reader.page()->data_head = 123456;  // not believed either
  reader.page()->data_size = 1ull << 50;
  EXPECT_EQ(send("text"), 0);
  EXPECT_LT(reader.page()->data_head, 100u);
}

TEST_F(PerfRings, ARingIsItsCpusAlone) {
  const Reader reader(1);
  ASSERT_EQ(put(0, reader), 0);
  EXPECT_EQ(send("text", 0, 0), -EOPNOTSUPP);
  EXPECT_EQ(perf_event_output(core_, 0, 1, {"text", 4, nullptr, 0, 0}),
            0);  // by its index, from its CPU
}

TEST_F(PerfRings, FilesThatAreNoRingsAreRefused) {
  EXPECT_EQ(put(1, Reader(1, kPerfPage, F_SEAL_GROW)), -EBADF);  // might shrink
  EXPECT_EQ(put(1, Reader(1, kPerfPage + 8)), -EBADF);
  EXPECT_EQ(put(1, Reader(1, 3 * kPerfPage)), -EBADF);
  EXPECT_EQ(put(1, Reader(1, 2 * kPerfDataMax)), -EBADF);
  const Reader unmapped(1, 0);
  ASSERT_EQ(put(1, unmapped), 0);
  EXPECT_EQ(send("text"), -ENOENT);
}

}  // namespace
}  // namespace sluice::bpf
