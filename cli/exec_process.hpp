// A task under `sluice exec` while it waits in a system call: its memory, its descriptors, and
// paths as it sees them. What is read counts only if the call still waited afterwards: a task that
// died may have left its number to another. One call's thread.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/unique_fd.hpp"
#include "bpf/surface/process.hpp"

namespace sluice::cli {

// pidfds of the tasks that called, kept from call to call. One thread.
class Tasks {
 public:
  // A copy of the task's descriptor; -1 and errno.
  int descriptor(pid_t task, int fd);

 private:
  static constexpr size_t kKept = 64;
  std::unordered_map<pid_t, UniqueFd> pidfds_;
};

class ExecProcess final : public bpf::Process {
 public:
  // `listener`: the supervisor's descriptor, on which the call `id` of `task` waits.
  ExecProcess(int listener, uint64_t id, pid_t task, Tasks* tasks)
      : listener_(listener), id_(id), task_(task), tasks_(tasks) {}

  int read(uint64_t address, void* to, size_t size) override;
  size_t read_parts(std::span<const Part> parts) override;
  int write(uint64_t address, const void* from, size_t size) override;
  int file(int fd) override;
  int open(uint64_t path, int flags) override;
  int open_directory(uint64_t path, std::string* name) override;
  int create_unnamed(uint64_t path) override;
  int link_unnamed(int file, uint64_t path) override;

 private:
  [[nodiscard]] bool waits() const;
  bool read_window(uint64_t address, void* to, size_t size) const;
  int read_path(uint64_t address, std::string* path);
  int open_path(const std::string& path, int flags);
  int keep(int fd);

  const int listener_;
  const uint64_t id_;
  const pid_t task_;
  Tasks* const tasks_;
  // A page of the task's, read with the attribute: what that points at mostly lies beside it on the
  // stack.
  uint64_t window_ = 0;  // its address; 0: not read
  char window_bytes_[4096];
  std::vector<UniqueFd> opened_;
};

}  // namespace sluice::cli
