#include "cli/exec_rings.hpp"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>

#include "base/perf_ring.hpp"
#include "bpf/maps/ring_ops.hpp"

namespace sluice::cli {
namespace {

constexpr size_t kPages = 2 * bpf::kRingPage;  // that the places are in
constexpr auto kLook = std::chrono::milliseconds(1);

// In bytes from the start of the file.
struct Places {
  size_t consumer, producer, wakeups;
};
constexpr Places kRingBuffer{0, bpf::kRingPage, bpf::kRingPage + bpf::kRingWakeups};
constexpr Places kPerfEvent{offsetof(perf_event_mmap_page, data_tail),
                            offsetof(perf_event_mmap_page, data_head),
                            kPerfMarkAt + offsetof(PerfRingMark, wakeups)};

}  // namespace

ExecRings::~ExecRings() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  while (!rings_.empty()) forget(rings_.begin()->first);
}

ExecRings::Ring* ExecRings::find_or_make(Id id, int ring, Kind kind) {
  if (const auto found = rings_.find(id); found != rings_.end()) return &found->second;
  void* pages = ::mmap(nullptr, kPages, PROT_READ, MAP_SHARED, ring, 0);
  if (pages == MAP_FAILED) return nullptr;
  Ring& made = rings_[id];
  made.event.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const Places& places = kind == Kind::perf_event ? kPerfEvent : kRingBuffer;
  const auto* bytes = static_cast<const uint8_t*>(pages);
  made.kind = kind;
  made.pages = pages;
  made.consumer = reinterpret_cast<const std::atomic<uint64_t>*>(bytes + places.consumer);
  made.producer = reinterpret_cast<const std::atomic<uint64_t>*>(bytes + places.producer);
  made.wakeups = reinterpret_cast<const std::atomic<uint32_t>*>(bytes + places.wakeups);
  if (!thread_.joinable()) thread_ = std::thread([this] { watch(); });
  return &made;
}

void ExecRings::forget(Id id) {
  const auto found = rings_.find(id);
  ::munmap(found->second.pages, kPages);
  rings_.erase(found);
}

int ExecRings::control(int epoll, int operation, int ring, Kind kind, epoll_event* event) {
  struct stat status;
  if (::fstat(ring, &status) != 0) return -errno;
  const Id id{status.st_dev, status.st_ino};
  std::lock_guard guard(lock_);
  if (operation != EPOLL_CTL_ADD && !rings_.contains(id)) return -ENOENT;
  Ring* found = find_or_make(id, ring, kind);
  if (found == nullptr) return -EPERM;
  // By edges, also for those who wait by level: the signal is taken back only at the next look, and
  // would wake them for nothing after they have read all. While the ring is ready there is an edge
  // every millisecond.
  event->events |= EPOLLET;
  found->ready |= operation != EPOLL_CTL_DEL;  // what is there already is seen at once
  const int result = ::epoll_ctl(epoll, operation, found->event.get(), event) == 0 ? 0 : -errno;
  if (result == 0 && operation == EPOLL_CTL_ADD) found->watchers++;
  if (result == 0 && operation == EPOLL_CTL_DEL) found->watchers--;
  if (found->watchers <= 0) forget(id);
  return result;
}

// A ring buffer can be read while it has records: a consumer that moves is awake and sees them by
// itself, one that does not is signalled each time. A perf event is signalled once for each
// wake-up.
void ExecRings::refresh(Ring* ring) {
  const uint32_t woken = ring->wakeups->load(std::memory_order_acquire);
  const bool told = std::exchange(ring->woken, woken) != woken;
  const uint64_t consumed = ring->consumer->load(std::memory_order_acquire);
  const bool moved = std::exchange(ring->consumed, consumed) != consumed;
  const bool waiting = ring->producer->load(std::memory_order_acquire) != consumed;
  ring->ready = waiting && (ring->ready || told);
  const bool again = ring->kind == Kind::ring_buffer && !moved;
  if (ring->ready && (told || again)) {
    ::eventfd_write(ring->event.get(), 1);
    ring->set = true;
  } else if (!ring->ready && std::exchange(ring->set, false)) {
    eventfd_t value;
    ::eventfd_read(ring->event.get(), &value);
  }
}

// Until somebody is woken through one of the counts, for kLook at most. A ring that goes meanwhile
// ends the wait.
void ExecRings::wait(std::vector<futex_waitv>& counts) const {
  timespec until{};
  ::clock_gettime(CLOCK_MONOTONIC, &until);
  const auto ns = static_cast<long>(std::chrono::nanoseconds(kLook).count()) + until.tv_nsec;
  until.tv_sec += ns / 1'000'000'000;
  until.tv_nsec = ns % 1'000'000'000;
  const long result =
      ::syscall(__NR_futex_waitv, counts.data(), counts.size(), 0, &until, CLOCK_MONOTONIC);
  // A worker has counted meanwhile, and may do so at any rate.
  if (result < 0 && errno != ETIMEDOUT) std::this_thread::sleep_for(kLook);
}

void ExecRings::watch() {
  std::vector<futex_waitv> counts;
  while (!stopping_) {
    counts.clear();
    {
      std::lock_guard guard(lock_);
      for (auto& [id, ring] : rings_) {
        refresh(&ring);
        if (counts.size() == FUTEX_WAITV_MAX) continue;  // those beyond are looked at in time
        counts.push_back({ring.woken, reinterpret_cast<uintptr_t>(ring.wakeups), FUTEX_32, 0});
      }
    }
    wait(counts);
  }
}

}  // namespace sluice::cli
