// A listening AF_UNIX socket in the file system: there only while somebody listens, with owner and
// mode. Main thread.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sluice::control {

struct SocketSpec {
  std::string path;
  mode_t mode = 0700;
  uid_t uid = 0;
  gid_t gid = 0;
};

class SocketListener {
 public:
  // Listens first and takes its name then, in one step; a name that nobody answers to is replaced.
  // Makes the folder if it is missing. errors: EADDRINUSE (another daemon answers there, or the
  // name is no socket), EACCES, ENOENT, ...
  static Result<SocketListener> open(const SocketSpec& spec);
  SocketListener(SocketListener&&) = default;
  SocketListener& operator=(SocketListener&&) = delete;
  ~SocketListener();  // removes the name if it is still its own

  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  SocketListener(UniqueFd fd, std::string path, ino_t inode)
      : fd_(std::move(fd)), path_(std::move(path)), inode_(inode) {}

  UniqueFd fd_;
  std::string path_;
  ino_t inode_;
};

}  // namespace sluice::control
