#include "control/socket_listener.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstdio>

namespace sluice::control {
namespace {

constexpr int kBacklog = 1024;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(errno_error(ENAMETOOLONG, path));
  path.copy(address.sun_path, path.size());
  return address;
}

UniqueFd stream_socket() {
  return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// What has the name now may be replaced: nothing, or a socket that nobody listens on.
Status check_free(const std::string& path, const sockaddr_un& address) {
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode))
    return fail(EADDRINUSE, path + ": there is a file of this name that is no socket");
  const UniqueFd probe = stream_socket();
  const int result =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (result == 0 || errno == EAGAIN)
    return fail(EADDRINUSE, path + ": another daemon answers there");
  return {};
}

}  // namespace

Result<SocketListener> SocketListener::open(const SocketSpec& spec) {
  const size_t slash = spec.path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : spec.path.substr(0, slash + 1);
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST)
    return fail(errno_error(errno, "make " + folder));
  // Two daemons that start at once look at the name one after the other.
  const UniqueFd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::flock(directory.get(), LOCK_EX) != 0) return fail(errno_error(errno, folder));
  const auto address = address_of(spec.path);
  if (!address) return fail(address.error());
  if (auto free = check_free(spec.path, *address); !free) return fail(std::move(free.error()));

  const std::string temporary = spec.path + "." + std::to_string(::getpid());
  const auto temporary_address = address_of(temporary);
  if (!temporary_address) return fail(temporary_address.error());
  ::unlink(temporary.c_str());
  UniqueFd fd = stream_socket();
  struct stat status;
  const mode_t mask = ::umask(0777);  // nobody connects before owner and mode are right
  const bool bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*temporary_address),
                            sizeof *temporary_address) == 0;
  ::umask(mask);
  if (!bound) return fail(errno_error(errno, "bind " + temporary));
  const bool ready = ::lchown(temporary.c_str(), spec.uid, spec.gid) == 0 &&
                     ::chmod(temporary.c_str(), spec.mode) == 0 &&
                     ::listen(fd.get(), kBacklog) == 0 &&
                     ::lstat(temporary.c_str(), &status) == 0 &&
                     ::rename(temporary.c_str(), spec.path.c_str()) == 0;
  if (!ready) {
    const int code = errno;
    ::unlink(temporary.c_str());
    return fail(errno_error(code, "listen on " + spec.path));
  }
  return SocketListener(std::move(fd), spec.path, status.st_ino);
}

SocketListener::~SocketListener() {
  struct stat status;
  if (fd_ && ::lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_)
    ::unlink(path_.c_str());
}

}  // namespace sluice::control
