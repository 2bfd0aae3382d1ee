// Ring buffers and perf events under epoll for `sluice exec`: a ring's descriptor is a file, which
// epoll does not take, so an eventfd stands in for it. Programs count the wake-ups of a ring's
// consumer in its memory (bpf/maps/ring_ops.hpp, perf_ops.hpp); a thread waits for the counts. A
// test run ends the wait at once; a worker makes no system call, so the thread looks every
// millisecond. A wait may end with nothing to read, where the consumer has read meanwhile. The
// supervisor's threads; calls lock.
#pragma once

#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include <atomic>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/unique_fd.hpp"

namespace sluice::cli {

class ExecRings {
 public:
  ExecRings() = default;
  ~ExecRings();
  ExecRings(const ExecRings&) = delete;
  ExecRings& operator=(const ExecRings&) = delete;

  enum class Kind { ring_buffer, perf_event };

  // As epoll_ctl, with the stand-in of the ring whose memory file is `ring`. 0 or a negative errno.
  int control(int epoll, int operation, int ring, Kind kind, epoll_event* event);

 private:
  struct Ring {
    UniqueFd event;
    Kind kind = Kind::ring_buffer;
    void* pages = nullptr;
    // Written by the task's consumer and by the data plane.
    const std::atomic<uint64_t>* consumer = nullptr;
    const std::atomic<uint64_t>* producer = nullptr;
    const std::atomic<uint32_t>* wakeups = nullptr;
    uint64_t consumed = 0;  // consumer's position at the last look
    uint32_t woken = 0;     // wake-ups at the last look
    // as epoll has it in the kernel: from a wake-up on, until a look finds nothing to read
    bool ready = false;
    bool set = false;       // the eventfd is readable
    int watchers = 0;       // epolls it is in
  };
  using Id = std::pair<dev_t, ino_t>;

  Ring* find_or_make(Id id, int ring, Kind kind);
  void forget(Id id);
  static void refresh(Ring* ring);
  void watch();
  void wait(std::vector<futex_waitv>& counts) const;

  std::mutex lock_;
  std::map<Id, Ring> rings_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
};

}  // namespace sluice::cli
