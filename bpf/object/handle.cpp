#include "bpf/object/handle.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace sluice::bpf {
namespace {

// In memory where there is such a file system: a token is made for each descriptor given out.
constexpr const char* kDirectories[] = {"/dev/shm", "/tmp"};

// Both ends of a FIFO just made at `path`. The reader is opened first: a writer alone would be refused.
int open_ends(const char* path, Token* token) {
  token->given.reset(::open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  struct stat given;
  if (!token->given || ::fstat(token->given.get(), &given) != 0) return -errno;
  token->kept.reset(::open(path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  struct stat kept;
  if (!token->kept || ::fstat(token->kept.get(), &kept) != 0) return -errno;
  token->id = file_id(given);
  return S_ISFIFO(given.st_mode) && file_id(kept) == token->id ? 0 : -ESTALE;
}

}  // namespace

int make_token(const std::string& text, Token* token) {
  int error = -ENOENT;
  for (const char* directory : kDirectories) {
    uint64_t random = 0;
    if (::getrandom(&random, sizeof random, 0) != sizeof random) return -errno;
    char path[128];
    std::snprintf(path, sizeof path, "%s/%.32s.%016llx", directory, text.c_str(), static_cast<unsigned long long>(random));
    if (::mkfifo(path, 0600) != 0) {
      error = -errno;
      continue;
    }
    error = open_ends(path, token);
    ::unlink(path);
    // Nobody makes a reader out of /proc/PID/fd who was not given one.
    if (error == 0) (void)::fchmod(token->kept.get(), 0);
    return error;
  }
  return error;
}

int reopen(int file, int access) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  const int fd = ::open(path, access | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

bool only_opener(int file) {
  if (::fcntl(file, F_SETLEASE, F_WRLCK) != 0) return false;
  ::fcntl(file, F_SETLEASE, F_UNLCK);
  return true;
}

}  // namespace sluice::bpf
