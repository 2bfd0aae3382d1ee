#include "cli/exec_events.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/perf_ring.hpp"

namespace sluice::cli {

UniqueFd ExecEvents::open(uint32_t cpu, const perf_event_attr& wanted) {
  UniqueFd ring(::memfd_create("perf_event", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  PerfRingMark mark;
  mark.cpu = cpu;
  mark.with_time = (wanted.sample_type & PERF_SAMPLE_TIME) != 0 ? 1 : 0;
  (wanted.watermark != 0 ? mark.wakeup_bytes : mark.wakeup_events) = wanted.wakeup_events;
  struct stat status;
  if (!ring || ::ftruncate(ring.get(), kPerfPage + kPerfDataMax) != 0 ||
      ::pwrite(ring.get(), &mark, sizeof mark, kPerfMarkAt) != sizeof mark ||
      ::fcntl(ring.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0 ||
      ::fstat(ring.get(), &status) != 0) {
    return {};
  }
  rings_.emplace(status.st_dev, status.st_ino);
  return ring;
}

bool ExecEvents::has(int fd) const {
  struct stat status;
  return !rings_.empty() && ::fstat(fd, &status) == 0 &&
         rings_.contains({status.st_dev, status.st_ino});
}

int ExecEvents::map(int fd, uint64_t bytes, uint64_t offset) {
  if (offset != 0 || !is_perf_mapping(bytes)) return -EINVAL;
  const uint64_t place[] = {kPerfPage, bytes - kPerfPage};
  constexpr off_t kAt = offsetof(perf_event_mmap_page, data_offset);
  static_assert(offsetof(perf_event_mmap_page, data_size) == kAt + sizeof place[0]);
  return ::pwrite(fd, place, sizeof place, kAt) == sizeof place ? 0 : -ENOMEM;
}

}  // namespace sluice::cli
