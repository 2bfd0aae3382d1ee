// libbpf in our own process: while a session lives, the bpf() calls of libbpf (linked statically,
// its syscall() wrapped by the linker) go to the session's surface or daemon, on the thread that
// made it. One session at a time in the process; the constructor waits. Without a session libbpf's
// bpf() fails with ENOSYS: none ever reaches the kernel.
#pragma once

#include <linux/bpf.h>

#include <mutex>
#include <string>
#include <thread>

#include "bpf/client/client.hpp"
#include "bpf/surface/surface.hpp"

namespace sluice::bpf {

class LibbpfSession {
 public:
  explicit LibbpfSession(BpfSurface& surface);
  // A failure's text is then the log that the daemon wrote, and libbpf's pins in the daemon's
  // directory succeed.
  explicit LibbpfSession(Client& client);
  ~LibbpfSession();
  LibbpfSession(const LibbpfSession&) = delete;
  LibbpfSession& operator=(const LibbpfSession&) = delete;

  // As the system call, for the wrapped syscall().
  long bpf(int cmd, union bpf_attr* attr, unsigned size);
  // A warning of libbpf's.
  void hear(std::string message);
  // Whether libbpf may pin in `directory`: it lies in the daemon's pin directory.
  [[nodiscard]] bool may_pin_in(const char* directory) const;

  // The last PROG_LOAD or MAP_CREATE named `name` (as libbpf cuts names), if it failed; else null.
  [[nodiscard]] const LoadFailure* failure_of(const std::string& name) const;
  // The name and failure of the last MAP_CREATE that failed and was no probe of libbpf's; null:
  // none.
  [[nodiscard]] const LoadFailure* map_failure(std::string* name) const;
  // libbpf's warnings since the last call, in one line.
  [[nodiscard]] std::string take_messages();
  [[nodiscard]] std::thread::id thread() const { return thread_; }

 private:
  struct Failed {
    std::string name;
    LoadFailure failure;
    bool failed = false;
  };

  void begin();
  // To the surface or the daemon; `failure` as Caller::failure.
  long pass_on(int cmd, union bpf_attr* attr, unsigned size, LoadFailure* failure);

  std::unique_lock<std::mutex> turn_;
  BpfSurface* surface_ = nullptr;  // one of the two
  Client* client_ = nullptr;
  std::thread::id thread_;
  Failed program_;
  Failed map_;
  std::string messages_;
};

}  // namespace sluice::bpf
