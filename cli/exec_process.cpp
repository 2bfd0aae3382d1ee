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
#include <cstring>
#include <fstream>

namespace sluice::cli {
namespace {

constexpr uint64_t kPage = 4096;
constexpr unsigned kPidfdThread = O_EXCL;  // PIDFD_THREAD, Linux 6.9

std::string proc(pid_t task, const char* name) {
  return "/proc/" + std::to_string(task) + "/" + name;
}

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

// A pidfd that was kept may be that of a dead task with the same number: the kernel says ESRCH
// then, and it is opened anew.
int Tasks::descriptor(pid_t task, int fd) {
  if (const auto kept = pidfds_.find(task); kept != pidfds_.end()) {
    const int found = static_cast<int>(::syscall(__NR_pidfd_getfd, kept->second.get(), fd, 0));
    if (found >= 0 || errno != ESRCH) return found;
    pidfds_.erase(kept);
  }
  UniqueFd pidfd(static_cast<int>(::syscall(__NR_pidfd_open, task, kPidfdThread)));
  const bool of_task = static_cast<bool>(pidfd);
  // Older kernels open processes alone; which one the thread is of holds for this call only.
  if (!of_task) pidfd.reset(static_cast<int>(::syscall(__NR_pidfd_open, process_of(task), 0)));
  const int found = pidfd ? static_cast<int>(::syscall(__NR_pidfd_getfd, pidfd.get(), fd, 0)) : -1;
  const int error = errno;
  if (of_task && pidfds_.size() == kKept) pidfds_.clear();
  if (of_task) pidfds_.insert_or_assign(task, std::move(pidfd));
  errno = error;
  return found;
}

bool ExecProcess::waits() const {
  uint64_t id = id_;
  return ::ioctl(listener_, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

bool ExecProcess::read_window(uint64_t address, void* to, size_t size) const {
  if (window_ == 0 || address < window_ || address - window_ > kPage ||
      size > kPage - (address - window_)) {
    return false;
  }
  std::memcpy(to, window_bytes_ + (address - window_), size);
  return true;
}

int ExecProcess::read(uint64_t address, void* to, size_t size) {
  if (size == 0 || read_window(address, to, size)) return 0;
  const uint64_t page = address & ~(kPage - 1);
  if (window_ == 0 && page != 0 && size <= kPage - (address - page)) {
    const Part whole{page, window_bytes_, kPage};
    if (read_parts({&whole, 1}) == 0) return -EFAULT;
    window_ = page;
    return read_window(address, to, size) ? 0 : -EFAULT;
  }
  const Part part{address, to, size};
  return read_parts({&part, 1}) == 1 ? 0 : -EFAULT;
}

size_t ExecProcess::read_parts(std::span<const Part> parts) {
  size_t known = 0;
  while (known < parts.size() &&
         read_window(parts[known].address, parts[known].to, parts[known].size))
    known++;
  if (known == parts.size()) return known;
  const size_t count = bpf::read_parts_of(task_, parts.subspan(known));
  return waits() ? known + count : 0;
}

int ExecProcess::write(uint64_t address, const void* from, size_t size) {
  if (size == 0) return 0;
  const iovec here{const_cast<void*>(from), size};
  const iovec there{reinterpret_cast<void*>(static_cast<uintptr_t>(address)), size};
  if (!waits()) return -EFAULT;
  return ::process_vm_writev(task_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(size) ? 0
                                                                                          : -EFAULT;
}

int ExecProcess::keep(int fd) {
  if (fd < 0) return -errno;
  opened_.emplace_back(fd);
  return waits() ? fd : -EBADF;
}

int ExecProcess::file(int fd) {
  const int found = keep(tasks_->descriptor(task_, fd));
  return found == -ESRCH ? -EBADF : found;
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

// In the task's root, mount namespace and directory: from its root on, which RESOLVE_IN_ROOT keeps
// links in.
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
  return keep(
      static_cast<int>(::syscall(__NR_openat2, root.get(), whole.c_str(), &how, sizeof how)));
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
  return ::linkat(AT_FDCWD, self.c_str(), directory, name.c_str(), AT_SYMLINK_FOLLOW) == 0 ? 0
                                                                                           : -errno;
}

}  // namespace sluice::cli
