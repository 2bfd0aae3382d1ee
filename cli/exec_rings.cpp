#include "cli/exec_rings.hpp"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>

namespace sluice::cli {
namespace {

constexpr size_t kPage = 4096;  // consumer's page, then producer's (the layout of the kernel's ring buffer)

}  // namespace

ExecRings::~ExecRings() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  while (!rings_.empty()) forget(rings_.begin()->first);
}

ExecRings::Ring* ExecRings::find_or_make(Id id, int ring) {
  if (const auto found = rings_.find(id); found != rings_.end()) return &found->second;
  void* pages = ::mmap(nullptr, 2 * kPage, PROT_READ, MAP_SHARED, ring, 0);
  if (pages == MAP_FAILED) return nullptr;
  Ring& made = rings_[id];
  made.event.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  made.consumer = static_cast<const std::atomic<uint64_t>*>(pages);
  made.producer = made.consumer + kPage / sizeof(uint64_t);
  if (!thread_.joinable()) thread_ = std::thread([this] { watch(); });
  return &made;
}

void ExecRings::forget(Id id) {
  const auto found = rings_.find(id);
  ::munmap(const_cast<std::atomic<uint64_t>*>(found->second.consumer), 2 * kPage);
  rings_.erase(found);
}

int ExecRings::control(int epoll, int operation, int ring, epoll_event* event) {
  struct stat status;
  if (::fstat(ring, &status) != 0) return -errno;
  const Id id{status.st_dev, status.st_ino};
  std::lock_guard guard(lock_);
  if (operation != EPOLL_CTL_ADD && !rings_.contains(id)) return -ENOENT;
  Ring* found = find_or_make(id, ring);
  if (found == nullptr) return -EPERM;
  // By edges, also for those who wait by level: the signal is taken back only at the next look, and would wake them for
  // nothing after they have read all. While records wait there is an edge every millisecond.
  event->events |= EPOLLET;
  const int result = ::epoll_ctl(epoll, operation, found->event.get(), event) == 0 ? 0 : -errno;
  if (result == 0 && operation == EPOLL_CTL_ADD) found->watchers++;
  if (result == 0 && operation == EPOLL_CTL_DEL) found->watchers--;
  if (found->watchers <= 0) forget(id);
  return result;
}

// A consumer that moves is awake and sees the records by itself; one that does not is signalled each time.
void ExecRings::refresh(Ring* ring) {
  const uint64_t consumed = ring->consumer->load(std::memory_order_acquire);
  const bool moved = std::exchange(ring->consumed, consumed) != consumed;
  const bool waiting = ring->producer->load(std::memory_order_acquire) != consumed;
  if (waiting && !moved) {
    ::eventfd_write(ring->event.get(), 1);
    ring->set = true;
  } else if (std::exchange(ring->set, false)) {
    eventfd_t value;
    ::eventfd_read(ring->event.get(), &value);
  }
}

void ExecRings::watch() {
  while (!stopping_) {
    {
      std::lock_guard guard(lock_);
      for (auto& [id, ring] : rings_) refresh(&ring);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace sluice::cli
