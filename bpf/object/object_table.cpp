#include "bpf/object/object_table.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

#include <cerrno>
#include <string>

namespace sluice::bpf {
namespace {

constexpr int kEventsAtOnce = 64;
// What epoll names an event by: a token's inode, or one of these, which no inode has.
constexpr uint64_t kMemoryClosed = 0;
constexpr uint64_t kPinChanged = UINT64_MAX;

// What tools look for in /proc/self/fd (bpftool: "bpf-map", "bpf-prog").
struct LinkText {
  std::string operator()(const std::shared_ptr<MapObject>& map) const {
    return "bpf-map." + std::to_string(map->id);
  }
  std::string operator()(const std::shared_ptr<ProgramObject>& prog) const {
    return "bpf-prog." + std::to_string(prog->id);
  }
  std::string operator()(const std::shared_ptr<BtfObject>& btf) const {
    return "btf." + std::to_string(btf->id);
  }
  std::string operator()(const std::shared_ptr<LinkObject>& link) const {
    return "bpf-link." + std::to_string(link->id);
  }
  std::string operator()(const std::shared_ptr<StatsObject>&) const { return "bpf-stats"; }
};

// The map's memory file, if it is one that the descriptor can be used to map; else -1.
int memory_of(const Handle& handle) {
  const auto* map = std::get_if<std::shared_ptr<MapObject>>(&handle.object);
  if (map == nullptr) return -1;
  // Who may only write, and not to the memory itself, gets nothing of it.
  return handle.readable || mappable_for_writing(**map) ? (*map)->map->memory_file() : -1;
}

}  // namespace

ObjectTable::ObjectTable()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kMemoryClosed}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, inotify_.get(), &event);
  event.data.u64 = kPinChanged;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, pins_.changed_fd(), &event);
}

void ObjectTable::add(const std::shared_ptr<MapObject>& map) {
  std::lock_guard guard(lock_);
  maps_.add(map);
}

void ObjectTable::add(const std::shared_ptr<BtfObject>& btf) {
  std::lock_guard guard(lock_);
  btfs_.add(btf);
}

void ObjectTable::add(const std::shared_ptr<LinkObject>& link) {
  std::lock_guard guard(lock_);
  links_.add(link);
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
  std::lock_guard guard(lock_);
  const int memory = memory_of(handle);
  return memory < 0 ? open_token(std::move(handle)) : open_memory(handle, memory);
}

int ObjectTable::open_token(Handle handle) {
  Token token;
  if (const int error = make_token(std::visit(LinkText{}, handle.object), &token); error != 0)
    return error;
  // Tokens all lie on one file system, so the inode alone names one.
  epoll_event event{.events = 0, .data = {.u64 = token.id.inode}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, token.kept.get(), &event) != 0) return -errno;
  token_device_ = token.id.device;
  given_.insert_or_assign(token.id,
                          Given{.handle = std::move(handle), .kept = std::move(token.kept)});
  return token.given.release();
}

// Every open of the map is a new open file of its memory, which says what it may be used for.
int ObjectTable::open_memory(const Handle& handle, int memory) {
  struct stat status;
  if (::fstat(memory, &status) != 0) return -errno;
  const auto& map = *std::get<std::shared_ptr<MapObject>>(handle.object);
  UniqueFd fd(
      open_memory_file(memory, {handle.readable, handle.writable, mappable_for_writing(map)}));
  if (!fd) return fd.get();
  if (const FileId id = file_id(status); !given_.contains(id)) {
    const std::string path = "/proc/self/fd/" + std::to_string(memory);
    const int watch = ::inotify_add_watch(inotify_.get(), path.c_str(), IN_CLOSE);
    if (watch < 0) return -errno;
    by_watch_[watch] = id;
    given_.insert_or_assign(
        id, Given{.handle = {handle.object}, .kept = {}, .memory = memory, .watch = watch});
  }
  return fd.release();
}

int ObjectTable::find(int fd, Handle* handle) const {
  struct stat status;
  if (fd < 0 || ::fstat(fd, &status) != 0) return -EBADF;
  std::lock_guard guard(lock_);
  const auto found = given_.find(file_id(status));
  if (found == given_.end()) return -EINVAL;
  *handle = found->second.handle;
  if (found->second.memory >= 0) {
    const MemoryAccess access = memory_access(fd);
    handle->readable = access.readable;
    handle->writable = access.writable;
  }
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
std::shared_ptr<ProgramObject> ObjectTable::program_of(int fd) const {
  return object_of<ProgramObject>(fd);
}
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
std::shared_ptr<LinkObject> ObjectTable::link(uint32_t id) const {
  std::lock_guard guard(lock_);
  return links_.find(id);
}
std::shared_ptr<LinkObject> ObjectTable::link_after(uint32_t id) const {
  std::lock_guard guard(lock_);
  return links_.after(id);
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

// Taken out of epoll by hand: a forked child's copy of `kept` would keep it there.
void ObjectTable::forget(const FileId& id, std::vector<Given>* dead) {
  const auto row = given_.find(id);
  if (row == given_.end()) return;
  if (row->second.kept) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, row->second.kept.get(), nullptr);
  if (row->second.watch >= 0) {
    ::inotify_rm_watch(inotify_.get(), row->second.watch);
    by_watch_.erase(row->second.watch);
  }
  dead->push_back(std::move(row->second));
  given_.erase(row);
}

// inotify merges events, so a close is only an occasion to ask who is left; after an overflow all
// are asked.
void ObjectTable::sweep_memory(std::vector<Given>* dead) {
  alignas(inotify_event) char buffer[4096];
  std::vector<FileId> asked;
  for (ssize_t length; (length = ::read(inotify_.get(), buffer, sizeof buffer)) > 0;) {
    for (ssize_t at = 0; at < length;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof *event) + event->len;
      for (const auto& [watch, id] : by_watch_) {
        if (watch == event->wd || (event->mask & IN_Q_OVERFLOW) != 0) asked.push_back(id);
      }
    }
  }
  for (const FileId& id : asked) {
    const auto row = given_.find(id);
    if (row != given_.end() && only_opener(row->second.memory)) forget(id, dead);
  }
}

void ObjectTable::sweep() {
  std::vector<Given> dead;  // freed after the lock is released: a map's memory may be large
  std::vector<PinTable::Pin> unpinned;
  std::lock_guard guard(lock_);
  epoll_event events[kEventsAtOnce];
  int count;
  do {
    count = ::epoll_wait(epoll_.get(), events, kEventsAtOnce, 0);
    for (int i = 0; i < count; i++) {
      if (events[i].data.u64 == kMemoryClosed) {
        sweep_memory(&dead);
      } else if (events[i].data.u64 == kPinChanged) {
        pins_.sweep(&unpinned);
      } else {
        forget({token_device_, events[i].data.u64}, &dead);
      }
    }
  } while (count == kEventsAtOnce);
}

}  // namespace sluice::bpf
