// OBJ_PIN and OBJ_GET. The caller's own process makes and opens the files, so the file system has
// checked its rights by the time a descriptor is seen here; what is left are bpffs's rules (bpf(2)
// on Linux 6.18, observed).
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "bpf/surface/call.hpp"

namespace sluice::bpf::surface {
namespace {

// What a handle file holds, for people and for file(1): the store knows pins by their inode.
constexpr char kHandleText[] = "sluice pin\n";

const char* type_of(const ObjectRef& object) {
  if (std::holds_alternative<std::shared_ptr<MapObject>>(object)) return "map";
  if (std::holds_alternative<std::shared_ptr<ProgramObject>>(object)) return "prog";
  if (std::holds_alternative<std::shared_ptr<LinkObject>>(object)) return "link";
  return nullptr;
}

// Where the name may not be: 0 where it may.
int check_place(const PinTable& pins, int directory, const std::string& name) {
  if (name == "." || name == "..") return -EEXIST;
  const bool inside = pins.contains(directory);
  if (inside && name.find('.') != std::string::npos) return -EPERM;
  struct stat status;
  if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
    return name.empty() ? -ENOENT : -EEXIST;
  if (errno != ENOENT || name.empty()) return -errno;
  return inside ? 0 : -EPERM;
}

bool has_name(int file, int directory, const std::string& name) {
  struct stat status;
  struct stat named;
  return ::fstat(file, &status) == 0 &&
         ::fstatat(directory, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         status.st_dev == named.st_dev && status.st_ino == named.st_ino;
}

// A client hands over the file; it may be anything.
bool is_new_handle(int file, uid_t uid, int store) {
  struct stat status;
  struct stat home;
  if (::fstat(file, &status) != 0 || ::fstat(store, &home) != 0) return false;
  return S_ISREG(status.st_mode) && status.st_dev == home.st_dev && status.st_uid == uid &&
         status.st_size <= PATH_MAX && (::fcntl(file, F_GETFL) & O_ACCMODE) == O_RDWR;
}

int fill_handle(int file, const char* type) {
  constexpr ssize_t kLength = sizeof kHandleText - 1;
  const ssize_t written = ::pwrite(file, kHandleText, kLength, 0);
  if (written != kLength) return written < 0 ? -errno : -EIO;
  // tmpfs has user attributes since Linux 6.6; without them the pin is as good.
  (void)::fsetxattr(file, "user.bpf.type", type, std::strlen(type), 0);
  return 0;
}

constexpr int access_of(uint32_t flags) {
  return (flags & BPF_F_RDONLY) != 0 ? O_RDONLY : (flags & BPF_F_WRONLY) != 0 ? O_WRONLY : O_RDWR;
}

}  // namespace

long obj_pin(Call& call) {
  if (call.attr.file_flags != 0) return -EINVAL;
  Handle handle;
  if (call.handle_of(call.attr.bpf_fd, &handle) != 0) return -EINVAL;
  const char* type = type_of(handle.object);
  if (type == nullptr) return -EINVAL;
  std::string name;
  const int directory = call.process.open_directory(call.attr.pathname, &name);
  if (directory < 0) return directory;
  PinTable& pins = call.objects.pins();
  const int place = check_place(pins, directory, name);
  if (place != 0 && (place != -EEXIST || !pins.contains(directory))) return place;
  const int file = call.process.create_unnamed(call.attr.pathname);
  // Another process has linked its file by the time that the handler runs again: the name is there,
  // and is the file's.
  if (place != 0 && (file < 0 || !has_name(file, directory, name))) return place;
  if (file < 0) return file;
  if (!is_new_handle(file, call.caller.uid, pins.store().directory())) return -EPERM;
  if (const int error = fill_handle(file, type); error != 0) return error;
  const auto record = pins.store().save(handle.object);
  if (!record) return -record.error().code;
  if (const int error = call.process.link_unnamed(file, call.attr.pathname); error != 0)
    return error;
  return pins.add(file, handle.object, *record);
}

long obj_get(Call& call) {
  constexpr uint32_t kOneWay = BPF_F_RDONLY | BPF_F_WRONLY;
  const uint32_t flags = call.attr.file_flags;
  if (call.attr.bpf_fd != 0 || (flags & ~kOneWay) != 0 || (flags & kOneWay) == kOneWay)
    return -EINVAL;
  const int file = call.process.open(call.attr.pathname, access_of(flags) | O_NONBLOCK | O_NOCTTY);
  // What open(2) has against a directory, a socket or a running program, bpffs has as "not one of
  // mine".
  if (file == -EISDIR || file == -ENXIO || file == -ETXTBSY || file == -ENODEV) return -EACCES;
  if (file < 0) return file;
  Handle handle;
  if (!call.objects.pins().find(file, &handle.object)) return -EACCES;
  if (flags != 0 && std::holds_alternative<std::shared_ptr<LinkObject>>(handle.object))
    return -EINVAL;
  handle.readable = flags != BPF_F_WRONLY;
  handle.writable = flags != BPF_F_RDONLY;
  return call.objects.open(std::move(handle));
}

long save_changed(Call& call, const ObjectRef& object) {
  if (!call.objects.pins().is_open() || !call.objects.pins().store().has(object)) return 0;
  const auto saved = call.objects.pins().store().save(object, true);
  return saved ? 0 : -saved.error().code;
}

}  // namespace sluice::bpf::surface
