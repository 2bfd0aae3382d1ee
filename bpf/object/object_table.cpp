#include "bpf/object/object_table.hpp"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <unordered_set>

#include "base/unique_fd.hpp"

namespace sluice::bpf {
namespace {

// What tools look for in /proc/self/fd (bpftool: "bpf-map", "bpf-prog").
std::string link_text(const ObjectRef& object) {
  if (const auto* map = std::get_if<std::shared_ptr<MapObject>>(&object)) {
    return "bpf-map." + std::to_string((*map)->id);
  }
  return std::holds_alternative<std::shared_ptr<ProgramObject>>(object) ? "bpf-prog" : "btf";
}

std::unordered_set<ino_t> open_inodes() {
  std::unordered_set<ino_t> inodes;
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return inodes;
  while (const dirent* entry = ::readdir(directory)) {
    struct stat status;
    if (entry->d_name[0] != '.' && ::fstat(std::atoi(entry->d_name), &status) == 0) inodes.insert(status.st_ino);
  }
  ::closedir(directory);
  return inodes;
}

}  // namespace

void ObjectTable::add(const std::shared_ptr<MapObject>& map) {
  std::lock_guard guard(lock_);
  maps_.add(map);
}

void ObjectTable::add(const std::shared_ptr<BtfObject>& btf) {
  std::lock_guard guard(lock_);
  btfs_.add(btf);
}

bool ObjectTable::add(const std::shared_ptr<ProgramObject>& program, uint32_t limit) {
  std::unique_lock guard(lock_);
  if (programs_.alive() >= limit) {  // descriptors closed behind our back may still count
    guard.unlock();
    sweep();
    guard.lock();
    if (programs_.alive() >= limit) return false;
  }
  programs_.add(program);
  return true;
}

int ObjectTable::open(Handle handle) {
  // Under the lock from creation to entry, or a sweep in between would take the descriptor for a stranger.
  std::lock_guard guard(lock_);
  UniqueFd fd(::memfd_create(link_text(handle.object).c_str(), MFD_CLOEXEC));
  struct stat status;
  if (!fd || ::fstat(fd.get(), &status) != 0) return -errno;
  handles_.insert_or_assign(status.st_ino, std::move(handle));
  return fd.release();
}

int ObjectTable::find(int fd, Handle* handle) const {
  struct stat status;
  if (fd < 0 || ::fstat(fd, &status) != 0) return -EBADF;
  std::lock_guard guard(lock_);
  const auto found = handles_.find(status.st_ino);
  if (found == handles_.end()) return -EINVAL;
  *handle = found->second;
  return 0;
}

template <class Object>
std::shared_ptr<Object> ObjectTable::object_of(int fd) const {
  Handle handle;
  if (find(fd, &handle) != 0) return nullptr;
  const auto* object = std::get_if<std::shared_ptr<Object>>(&handle.object);
  return object == nullptr ? nullptr : *object;
}

std::shared_ptr<MapObject> ObjectTable::map_of(int fd) const { return object_of<MapObject>(fd); }
std::shared_ptr<ProgramObject> ObjectTable::program_of(int fd) const { return object_of<ProgramObject>(fd); }
std::shared_ptr<BtfObject> ObjectTable::btf_of(int fd) const { return object_of<BtfObject>(fd); }

std::shared_ptr<MapObject> ObjectTable::map(uint32_t id) const {
  std::lock_guard guard(lock_);
  return maps_.find(id);
}
std::shared_ptr<ProgramObject> ObjectTable::program(uint32_t id) const {
  std::lock_guard guard(lock_);
  return programs_.find(id);
}
std::shared_ptr<BtfObject> ObjectTable::btf(uint32_t id) const {
  std::lock_guard guard(lock_);
  return btfs_.find(id);
}
std::shared_ptr<MapObject> ObjectTable::map_after(uint32_t id) const {
  std::lock_guard guard(lock_);
  return maps_.after(id);
}
std::shared_ptr<ProgramObject> ObjectTable::program_after(uint32_t id) const {
  std::lock_guard guard(lock_);
  return programs_.after(id);
}
std::shared_ptr<BtfObject> ObjectTable::btf_after(uint32_t id) const {
  std::lock_guard guard(lock_);
  return btfs_.after(id);
}

void ObjectTable::sweep() {
  std::vector<Handle> dead;  // freed after the lock is released: a map's memory may be large
  std::lock_guard guard(lock_);
  if (handles_.empty()) return;
  const auto open = open_inodes();
  if (open.empty()) return;  // no /proc: nothing is known
  for (auto row = handles_.begin(); row != handles_.end();) {
    if (open.contains(row->first)) {
      ++row;
      continue;
    }
    dead.push_back(std::move(row->second));
    row = handles_.erase(row);
  }
}

}  // namespace sluice::bpf
