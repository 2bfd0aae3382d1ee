#include "bpf/object/pin_table.hpp"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

namespace sluice::bpf {
namespace {

constexpr int kDepthMax = 4096;  // PATH_MAX names of one letter

}  // namespace

PinTable::PinTable() : inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {}

Status PinTable::open(const std::string& path) {
  directory_.reset(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat status;
  if (!directory_ || ::fstat(directory_.get(), &status) != 0)
    return fail(errno_error(errno, "open " + path));
  root_ = file_id(status);
  auto store = ObjectStore::open(directory_.get());
  if (!store) return fail(std::move(store.error()).in(path));
  store_ = std::move(*store);
  if (::fstat(store_->directory(), &status) != 0) return fail(errno_error(errno, path));
  store_id_ = file_id(status);
  return {};
}

bool PinTable::contains(int directory) const {
  if (store_ == nullptr) return false;
  UniqueFd at(::openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  FileId below{};
  for (int depth = 0; depth < kDepthMax; depth++) {
    struct stat status;
    if (!at || ::fstat(at.get(), &status) != 0) return false;
    const FileId here = file_id(status);
    if (here == root_) return true;
    if (here == below || here == store_id_) return false;
    below = here;
    at.reset(::openat(at.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  return false;
}

int PinTable::add(int file, ObjectRef object, const std::string& record) {
  std::string name;
  if (const int error = store_->link_pin(file, record, &name); error != 0) return error;
  std::lock_guard guard(lock_);
  return watch(name, std::move(object));
}

int PinTable::restore(const std::string& name, ObjectRef object) {
  std::lock_guard guard(lock_);
  return watch(name, std::move(object));
}

// The watch comes before the look at the link count: a name lost in between is found by the one or
// the other.
int PinTable::watch(const std::string& name, ObjectRef object) {
  const std::string path = "/proc/self/fd/" + std::to_string(store_->directory()) + "/" + name;
  const int watch = ::inotify_add_watch(inotify_.get(), path.c_str(), IN_ATTRIB);
  struct stat status;
  if (watch < 0 || ::fstatat(store_->directory(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return -errno;
  if (status.st_nlink < 2) {
    ::inotify_rm_watch(inotify_.get(), watch);
    store_->unlink(name);
    return 0;
  }
  pins_.insert_or_assign(file_id(status), Pin{std::move(object), name, watch});
  return 0;
}

bool PinTable::find(int file, ObjectRef* object) const {
  struct stat status;
  if (::fstat(file, &status) != 0) return false;
  std::lock_guard guard(lock_);
  const auto found = pins_.find(file_id(status));
  if (found == pins_.end()) return false;
  *object = found->second.object;
  return true;
}

// chmod and link end up here too: every pin is asked, and pins are few.
void PinTable::sweep(std::vector<Pin>* dead) {
  alignas(inotify_event) char buffer[4096];
  bool changed = false;
  while (::read(inotify_.get(), buffer, sizeof buffer) > 0) changed = true;
  if (!changed) return;
  std::lock_guard guard(lock_);
  for (auto pin = pins_.begin(); pin != pins_.end();) {
    struct stat status;
    const bool known =
        ::fstatat(store_->directory(), pin->second.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (known && status.st_nlink > 1) {
      ++pin;
      continue;
    }
    ::inotify_rm_watch(inotify_.get(), pin->second.watch);
    store_->unlink(pin->second.name);
    dead->push_back(std::move(pin->second));
    pin = pins_.erase(pin);
  }
}

void PinTable::leave() {
  if (store_ == nullptr) return;
  store_->leave();
  std::unordered_map<FileId, Pin, FileIdHash> gone;
  std::lock_guard guard(lock_);
  gone.swap(pins_);
}

}  // namespace sluice::bpf
