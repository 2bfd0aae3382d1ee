#include "bpf/object/handle.hpp"

#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace sluice::bpf {
namespace {

// In memory where there is such a file system: a token is made for each descriptor given out.
constexpr const char* kDirectories[] = {"/dev/shm", "/tmp"};

// Both ends of a FIFO just made at `path`. The reader is opened first: a writer alone would be
// refused.
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

// A status flag that means nothing to a descriptor that is not written to, and that fcntl(F_SETFL)
// leaves alone.
constexpr int kWritableByBpf = O_DSYNC;

// Linux 6.2, newer than Debian 12's header.
constexpr uint64_t kLandlockTruncate = 1ull << 14;

bool has_seal(int file, int seal) {
  const int seals = ::fcntl(file, F_GET_SEALS);
  return seals >= 0 && (seals & seal) != 0;
}

int open_plainly(const char* path, int flags) {
  const int fd = ::open(path, flags);
  return fd < 0 ? -errno : fd;
}

struct Opening {
  const char* path;
  int flags;
  int fd;
};

void* open_restricted(void* argument) {
  auto* opening = static_cast<Opening*>(argument);
  const landlock_ruleset_attr rules{.handled_access_fs = kLandlockTruncate};
  const UniqueFd ruleset(
      static_cast<int>(::syscall(__NR_landlock_create_ruleset, &rules, sizeof rules, 0)));
  // Older kernels: whoever shrinks the file gets zeros in its place (base/bus_error.hpp).
  if (ruleset && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
    ::syscall(__NR_landlock_restrict_self, ruleset.get(), 0);
  }
  opening->fd = open_plainly(opening->path, opening->flags);
  return nullptr;
}

// What Landlock denies the opener, the open file is denied for good, whoever gets a descriptor of
// it. The opener is denied it for good too, and so is a thread that does nothing else.
int open_without_truncate(const char* path, int flags) {
  Opening opening{path, flags, -EAGAIN};
  pthread_t thread;
  if (const int error = ::pthread_create(&thread, nullptr, open_restricted, &opening); error != 0)
    return -error;
  ::pthread_join(thread, nullptr);
  return opening.fd;
}

}  // namespace

int make_token(const std::string& text, Token* token) {
  int error = -ENOENT;
  for (const char* directory : kDirectories) {
    uint64_t random = 0;
    if (::getrandom(&random, sizeof random, 0) != sizeof random) return -errno;
    char path[128];
    std::snprintf(path, sizeof path, "%s/%.32s.%016llx", directory, text.c_str(),
                  static_cast<unsigned long long>(random));
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

int open_memory_file(int file, MemoryAccess access) {
  int flags = O_CLOEXEC | (!access.writable ? O_RDONLY : !access.readable ? O_WRONLY : O_RDWR);
  if (access.writable && !access.mappable_for_writing)
    flags = O_CLOEXEC | O_RDONLY | kWritableByBpf;
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  const bool resizable = (flags & O_ACCMODE) != O_RDONLY && !has_seal(file, F_SEAL_SHRINK);
  return resizable ? open_without_truncate(path, flags) : open_plainly(path, flags);
}

MemoryAccess memory_access(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  const int access = flags & O_ACCMODE;
  return {access != O_WRONLY, access != O_RDONLY || (flags & kWritableByBpf) != 0,
          access != O_RDONLY};
}

bool is_sealed_for_writing(int file) { return has_seal(file, F_SEAL_FUTURE_WRITE); }

bool only_opener(int file) {
  if (::fcntl(file, F_SETLEASE, F_WRLCK) != 0) return false;
  ::fcntl(file, F_SETLEASE, F_UNLCK);
  return true;
}

}  // namespace sluice::bpf
