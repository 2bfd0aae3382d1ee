// The memory of a perf event's ring made in user space, as perf_event_open(2) lays it out: a page
// of positions, then 2^n pages of records. `sluice exec` makes it, the daemon writes to it, the
// command maps and reads it. Plain numbers.
#pragma once

#include <linux/perf_event.h>

#include <cstddef>
#include <cstdint>

namespace sluice {

inline constexpr uint64_t kPerfPage = 4096;
// bytes of records; the file is as large, and sparse
inline constexpr uint64_t kPerfDataMax = 16u << 20;

// At the page's end, where the kernel's has nothing: whose ring it is, what its samples hold and
// when its reader is woken.
struct PerfRingMark {
  uint64_t magic = 0x6576652d65636c73;
  uint32_t cpu = 0;
  uint32_t with_time = 0;      // PERF_SAMPLE_TIME beside PERF_SAMPLE_RAW
  uint32_t wakeup_events = 0;  // samples until a wake-up; 0: bytes alone count
  uint32_t wakeup_bytes = 0;   // of records until a wake-up; 0: half of the ring
  // times that the reader should have been woken, for futex(2); the writer's
  uint32_t wakeups = 0;
};
inline constexpr uint64_t kPerfMarkAt = kPerfPage - sizeof(PerfRingMark);
static_assert(sizeof(perf_event_mmap_page) <= kPerfMarkAt);

// Whether a mapping of so many bytes is one of a ring.
inline constexpr bool is_perf_mapping(uint64_t bytes) {
  const uint64_t data = bytes - kPerfPage;
  return bytes > kPerfPage && data <= kPerfDataMax && data % kPerfPage == 0 &&
         (data & (data - 1)) == 0;
}

}  // namespace sluice
