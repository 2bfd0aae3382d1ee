#include "cli/exec_process.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <fstream>

namespace sluice::cli {
namespace {

constexpr uint64_t kPage = 4096;

std::string proc(pid_t task, const char* name) { return "/proc/" + std::to_string(task) + "/" + name; }

// The process that a thread is of; 0: there is none.
pid_t process_of(pid_t task) {
  std::ifstream status(proc(task, "status"));
  for (std::string word; status >> word;) {
    pid_t process = 0;
    if (word == "Tgid:" && status >> process) return process;
  }
  return 0;
}

std::string link_text(const std::string& path) {
  char text[PATH_MAX];
  const ssize_t length = ::readlink(path.c_str(), text, sizeof text);
  return length < 0 ? "" : std::string(text, static_cast<size_t>(length));
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

}  // namespace

bool ExecProcess::waits() const {
  uint64_t id = id_;
  return ::ioctl(listener_, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

int ExecProcess::read(uint64_t address, void* to, size_t size) {
  if (size == 0) return 0;
  const iovec here{to, size};
  const iovec there{reinterpret_cast<void*>(static_cast<uintptr_t>(address)), size};
  const bool whole = ::process_vm_readv(task_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(size);
  return whole && waits() ? 0 : -EFAULT;
}

int ExecProcess::write(uint64_t address, const void* from, size_t size) {
  if (size == 0) return 0;
  const iovec here{const_cast<void*>(from), size};
  const iovec there{reinterpret_cast<void*>(static_cast<uintptr_t>(address)), size};
  if (!waits()) return -EFAULT;
  return ::process_vm_writev(task_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(size) ? 0 : -EFAULT;
}

int ExecProcess::keep(int fd) {
  if (fd < 0) return -errno;
  opened_.emplace_back(fd);
  return waits() ? fd : -EBADF;
}

int ExecProcess::file(int fd) {
  if (!process_) {
    int pidfd = static_cast<int>(::syscall(__NR_pidfd_open, task_, 0));
    // A thread that is not its process's first is not to be opened.
    if (pidfd < 0) pidfd = static_cast<int>(::syscall(__NR_pidfd_open, process_of(task_), 0));
    process_.reset(pidfd);
  }
  return process_ ? keep(static_cast<int>(::syscall(__NR_pidfd_getfd, process_.get(), fd, 0))) : -EBADF;
}

int ExecProcess::read_path(uint64_t address, std::string* path) {
  path->clear();
  while (path->size() < PATH_MAX) {
    char piece[256];
    const uint64_t at = address + path->size();
    const size_t size = std::min<uint64_t>(sizeof piece, kPage - at % kPage);
    if (const int error = read(at, piece, size); error != 0) return error;
    const char* end = std::find(piece, piece + size, '\0');
    path->append(piece, static_cast<size_t>(end - piece));
    if (end != piece + size) return path->empty() ? -ENOENT : 0;
  }
  return -ENAMETOOLONG;
}

// In the task's root, mount namespace and directory: from its root on, which RESOLVE_IN_ROOT keeps links in.
int ExecProcess::open_path(const std::string& path, int flags) {
  const UniqueFd root(::open(proc(task_, "root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return -errno;
  std::string whole = path;
  if (path[0] != '/') {
    std::string here = link_text(proc(task_, "cwd"));
    const std::string top = link_text(proc(task_, "root"));
    if (top != "/" && here.starts_with(top)) here.erase(0, top.size());
    whole = here + "/" + path;
  }
  open_how how{};
  how.flags = static_cast<uint64_t>(static_cast<unsigned>(flags | O_CLOEXEC));
  how.mode = (flags & O_TMPFILE) == O_TMPFILE ? 0600 : 0;
  how.resolve = RESOLVE_IN_ROOT;
  return keep(static_cast<int>(::syscall(__NR_openat2, root.get(), whole.c_str(), &how, sizeof how)));
}

int ExecProcess::open(uint64_t address, int flags) {
  std::string path;
  if (const int error = read_path(address, &path); error != 0) return error;
  return open_path(path, flags);
}

int ExecProcess::open_directory(uint64_t address, std::string* name) {
  std::string path;
  if (const int error = read_path(address, &path); error != 0) return error;
  *name = path.substr(path.find_last_of('/') + 1);
  return open_path(directory_of(path), O_PATH | O_DIRECTORY);
}

int ExecProcess::create_unnamed(uint64_t address) {
  std::string path;
  if (const int error = read_path(address, &path); error != 0) return error;
  return open_path(directory_of(path), O_TMPFILE | O_RDWR);
}

int ExecProcess::link_unnamed(int file, uint64_t address) {
  std::string name;
  const int directory = open_directory(address, &name);
  if (directory < 0) return directory;
  const std::string self = "/proc/self/fd/" + std::to_string(file);
  return ::linkat(AT_FDCWD, self.c_str(), directory, name.c_str(), AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

}  // namespace sluice::cli
