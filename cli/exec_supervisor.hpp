// The supervisor of `sluice exec`: answers the system calls that the filter holds up
// (exec_filter.hpp), bpf by the daemon. It acts with the rights it shares with the command, so
// nothing is given that the command could not have had. Quick commands are answered on the main
// thread, others on a second one with a connection of its own.
#pragma once

#include <linux/seccomp.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "bpf/client/client.hpp"
#include "cli/exec_events.hpp"
#include "cli/exec_process.hpp"
#include "cli/exec_rings.hpp"

namespace sluice::cli {

class ExecSupervisor {
 public:
  ExecSupervisor(UniqueFd listener, std::unique_ptr<bpf::Client> quick,
                 std::unique_ptr<bpf::Client> slow);
  ~ExecSupervisor();
  ExecSupervisor(const ExecSupervisor&) = delete;
  ExecSupervisor& operator=(const ExecSupervisor&) = delete;

  // Readable: a call waits. Hung up: no task under the filter is left.
  [[nodiscard]] int listener() const { return listener_.get(); }
  // Takes one call; answers it, or hands it to the second thread.
  void serve_one();

 private:
  using Call = seccomp_notif;

  void answer_bpf(bpf::Client& client, Tasks& tasks, const Call& call);
  void answer_statfs(const Call& call);
  void answer_epoll(const Call& call);
  void answer_perf_event_open(const Call& call);
  void answer_mmap(const Call& call);
  void answer_ioctl(const Call& call);
  void give(const Call& call, int fd, uint32_t flags);
  void reply(const Call& call, long value);
  void let_pass(const Call& call);
  int check_mapping(int map, uint64_t bytes, uint64_t offset);
  // What the daemon knows of a descriptor; false: it is not a map of its.
  bool find_map(int fd, bpf_map_info* info);
  void run_slow();

  UniqueFd listener_;
  std::unique_ptr<bpf::Client> quick_;
  std::unique_ptr<bpf::Client> slow_;
  Tasks quick_tasks_;
  Tasks slow_tasks_;
  ExecRings rings_;
  ExecEvents events_;

  std::mutex lock_;  // of what follows
  std::condition_variable changed_;
  std::deque<Call> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sluice::cli
