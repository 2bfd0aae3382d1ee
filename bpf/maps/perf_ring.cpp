#include "bpf/maps/perf_ring.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "base/perf_ring.hpp"

namespace sluice::bpf {
namespace {

int is_kernel_event(int fd) {
  char path[32], target[64];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const ssize_t length = ::readlink(path, target, sizeof target);
  return length > 0 &&
         std::string_view(target, static_cast<size_t>(length)) == "anon_inode:[perf_event]";
}

// The file is a client's: nothing in it is believed but what is checked here, and read once.
bool read_ring(int fd, PerfRing* ring) {
  struct stat status;
  constexpr int kSealed = F_SEAL_SHRINK | F_SEAL_GROW;
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kSealed) != kSealed || ::fstat(fd, &status) != 0) return false;
  if (static_cast<uint64_t>(status.st_size) != kPerfPage + kPerfDataMax) return false;
  if ((::fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR) return false;
  PerfRingMark mark;
  uint64_t bytes = 0;
  if (::pread(fd, &mark, sizeof mark, kPerfMarkAt) != sizeof mark ||
      mark.magic != PerfRingMark{}.magic ||
      ::pread(fd, &bytes, sizeof bytes, offsetof(perf_event_mmap_page, data_size)) !=
          sizeof bytes) {
    return false;
  }
  if (bytes != 0 && !is_perf_mapping(kPerfPage + bytes)) return false;
  ring->data_bytes = bytes;
  ring->cpu = mark.cpu;
  ring->with_time = mark.with_time != 0;
  ring->wakeup_events = mark.wakeup_events;
  ring->wakeup_bytes =
      mark.wakeup_bytes == 0 ? bytes / 2 : std::min(uint64_t{mark.wakeup_bytes}, bytes);
  return true;
}

}  // namespace

int hold_perf_ring(int fd, std::shared_ptr<HeldPerfRing>* held) {
  auto made = std::make_shared<HeldPerfRing>();
  const bool ring = !is_kernel_event(fd);
  if (ring && !read_ring(fd, &made->ring)) return -EBADF;
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return -errno;
  if (ring) {
    auto memory = MapMemory::map_file(std::move(copy), kPerfPage + made->ring.data_bytes, true);
    if (!memory) return -ENOMEM;
    made->memory = std::move(*memory);
    made->ring.page = made->memory.data();
  } else {
    made->file = std::move(copy);
  }
  *held = std::move(made);
  return 0;
}

}  // namespace sluice::bpf
