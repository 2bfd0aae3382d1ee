// A task under `sluice exec` while it waits in a system call: its memory, its descriptors, and paths as it sees them. What
// is read counts only if the call still waited afterwards: a task that died may have left its number to another. One
// call's thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "bpf/surface/process.hpp"

namespace sluice::cli {

class ExecProcess final : public bpf::Process {
 public:
  // `listener`: the supervisor's descriptor, on which the call `id` of `task` waits.
  ExecProcess(int listener, uint64_t id, pid_t task) : listener_(listener), id_(id), task_(task) {}

  int read(uint64_t address, void* to, size_t size) override;
  int write(uint64_t address, const void* from, size_t size) override;
  int file(int fd) override;
  int open(uint64_t path, int flags) override;
  int open_directory(uint64_t path, std::string* name) override;
  int create_unnamed(uint64_t path) override;
  int link_unnamed(int file, uint64_t path) override;

 private:
  [[nodiscard]] bool waits() const;
  int read_path(uint64_t address, std::string* path);
  int open_path(const std::string& path, int flags);
  int keep(int fd);

  const int listener_;
  const uint64_t id_;
  const pid_t task_;
  UniqueFd process_;                // pidfd, from the first descriptor on
  std::vector<UniqueFd> opened_;
};

}  // namespace sluice::cli
