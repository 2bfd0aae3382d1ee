// The process that made a bpf(2) call, as the handlers see it: its memory, its descriptors, its
// paths. In our own process that is plain memory; behind the socket it is a client, of which a
// request carries only so much: what is missing is asked for and the handler runs again from its
// start. So a handler reads everything first, then acts, then writes. One thread at a time.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"

namespace sluice::bpf {

class Process {
 public:
  virtual ~Process() = default;

  // Copies from and to its memory. 0 or -EFAULT. size 0 touches nothing.
  virtual int read(uint64_t address, void* to, size_t size) = 0;
  struct Part {
    uint64_t address;
    void* to;
    size_t size;
  };
  // The same for several parts, at most kPartsMax, in one step where it can be: how many were read,
  // from the first on.
  static constexpr size_t kPartsMax = 16;
  virtual size_t read_parts(std::span<const Part> parts);
  virtual int write(uint64_t address, const void* from, size_t size) = 0;
  // A descriptor of its as one of ours, valid until the call ends; -EBADF.
  virtual int file(int fd) = 0;

  // Its file system, with its root, directory and rights; `path` is the address of a zero-ended
  // string of its. Opens an existing file (flags: O_RDONLY, O_RDWR, O_PATH...): a descriptor of
  // ours, valid until the call ends, or -errno.
  virtual int open(uint64_t path, int flags) = 0;
  // The directory that `path` lies in (O_PATH, valid until the call ends; or -errno), and the name
  // in it.
  virtual int open_directory(uint64_t path, std::string* name) = 0;
  // An unnamed file (O_TMPFILE, mode 0600) in the directory that `path` lies in, and its name: the
  // two halves of making a file that is there whole or not at all. -EEXIST, -EACCES, ...
  virtual int create_unnamed(uint64_t path) = 0;
  virtual int link_unnamed(int file, uint64_t path) = 0;
};

// Process::read_parts for any process whose memory this one may read.
size_t read_parts_of(pid_t process, std::span<const Process::Part> parts);

// Our own process.
class LocalProcess final : public Process {
 public:
  int read(uint64_t address, void* to, size_t size) override;
  int write(uint64_t address, const void* from, size_t size) override;
  int file(int fd) override;
  int open(uint64_t path, int flags) override;
  int open_directory(uint64_t path, std::string* name) override;
  int create_unnamed(uint64_t path) override;
  int link_unnamed(int file, uint64_t path) override;

 private:
  int keep(int fd);

  std::vector<UniqueFd> opened_;  // closed with the process, which lives as long as a call
};

}  // namespace sluice::bpf
