#include "bpf/surface/process.hpp"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string>

#include "base/careful_copy.hpp"

namespace sluice::bpf {
namespace {

int read_path(Process& process, uint64_t address, std::string* path) {
  char text[PATH_MAX];
  for (size_t length = 0; length < sizeof text; length++) {
    if (const int error = process.read(address + length, &text[length], 1); error != 0)
      return error;
    if (text[length] != '\0') continue;
    path->assign(text, length);
    return path->empty() ? -ENOENT : 0;
  }
  return -ENAMETOOLONG;
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

}  // namespace

size_t read_parts_of(pid_t process, std::span<const Process::Part> parts) {
  iovec here[Process::kPartsMax] = {};
  iovec there[Process::kPartsMax] = {};
  const size_t count = std::min(parts.size(), Process::kPartsMax);
  for (size_t i = 0; i < count; i++) {
    here[i] = {parts[i].to, parts[i].size};
    there[i] = {reinterpret_cast<void*>(static_cast<uintptr_t>(parts[i].address)), parts[i].size};
  }
  ssize_t left = ::process_vm_readv(process, here, count, there, count, 0);
  size_t whole = 0;
  while (whole < count && left >= static_cast<ssize_t>(parts[whole].size)) {
    left -= static_cast<ssize_t>(parts[whole++].size);
  }
  return whole;
}

size_t Process::read_parts(std::span<const Part> parts) {
  size_t whole = 0;
  while (whole < parts.size() &&
         read(parts[whole].address, parts[whole].to, parts[whole].size) == 0)
    whole++;
  return whole;
}

int LocalProcess::read(uint64_t address, void* to, size_t size) {
  return read_carefully(to, address, size) == size ? 0 : -EFAULT;
}

int LocalProcess::write(uint64_t address, const void* from, size_t size) {
  return write_carefully(address, from, size) == size ? 0 : -EFAULT;
}

int LocalProcess::file(int fd) { return ::fcntl(fd, F_GETFD) < 0 ? -EBADF : fd; }

// A new descriptor or -1.
int LocalProcess::keep(int fd) {
  if (fd < 0) return -errno;
  opened_.emplace_back(fd);
  return fd;
}

int LocalProcess::open(uint64_t address, int flags) {
  std::string path;
  if (const int error = read_path(*this, address, &path); error != 0) return error;
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  return keep(fd);
}

int LocalProcess::open_directory(uint64_t address, std::string* name) {
  std::string path;
  if (const int error = read_path(*this, address, &path); error != 0) return error;
  *name = path.substr(path.find_last_of('/') + 1);
  const int fd = ::open(directory_of(path).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  return keep(fd);
}

int LocalProcess::create_unnamed(uint64_t address) {
  std::string path;
  if (const int error = read_path(*this, address, &path); error != 0) return error;
  const int fd = ::open(directory_of(path).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  return keep(fd);
}

int LocalProcess::link_unnamed(int file, uint64_t address) {
  std::string path;
  if (const int error = read_path(*this, address, &path); error != 0) return error;
  const std::string self = "/proc/self/fd/" + std::to_string(file);
  return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0 ? 0
                                                                                          : -errno;
}

}  // namespace sluice::bpf
