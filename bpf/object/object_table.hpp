// The object tables: ids, and the descriptors that stand for objects. A descriptor is known by its
// file (handle.hpp), so that dup, fork, SCM_RIGHTS and plain close work on it as on the kernel's,
// in this process and in others. Control threads; every call locks.
#pragma once

#include <linux/bpf.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/unique_fd.hpp"
#include "bpf/object/handle.hpp"
#include "bpf/object/id_table.hpp"
#include "bpf/object/objects.hpp"
#include "bpf/object/pin_table.hpp"

namespace sluice::bpf {

struct Handle {
  ObjectRef object;
  bool readable = true;  // a map's descriptor made with BPF_F_WRONLY is not
  bool writable = true;  // BPF_F_RDONLY
};

class ObjectTable {
 public:
  ObjectTable();

  // Gives the object an id. add(program) refuses above `limit` living programs: false, and no id.
  void add(const std::shared_ptr<MapObject>& map);
  void add(const std::shared_ptr<BtfObject>& btf);
  void add(const std::shared_ptr<LinkObject>& link);
  [[nodiscard]] bool add(const std::shared_ptr<ProgramObject>& program, uint32_t limit);

  // A new close-on-exec descriptor for the object, or a negative errno.
  int open(Handle handle);
  // The handle behind a descriptor: EBADF where it is closed, EINVAL where it is something else.
  int find(int fd, Handle* handle) const;
  // Null where the descriptor is not such an object.
  [[nodiscard]] std::shared_ptr<MapObject> map_of(int fd) const;
  [[nodiscard]] std::shared_ptr<ProgramObject> program_of(int fd) const;
  [[nodiscard]] std::shared_ptr<BtfObject> btf_of(int fd) const;

  // Null: no such id.
  [[nodiscard]] std::shared_ptr<MapObject> map(uint32_t id) const;
  [[nodiscard]] std::shared_ptr<ProgramObject> program(uint32_t id) const;
  [[nodiscard]] std::shared_ptr<BtfObject> btf(uint32_t id) const;
  [[nodiscard]] std::shared_ptr<LinkObject> link(uint32_t id) const;
  [[nodiscard]] std::shared_ptr<MapObject> map_after(uint32_t id) const;
  [[nodiscard]] std::shared_ptr<ProgramObject> program_after(uint32_t id) const;
  [[nodiscard]] std::shared_ptr<BtfObject> btf_after(uint32_t id) const;
  [[nodiscard]] std::shared_ptr<LinkObject> link_after(uint32_t id) const;

  // Drops the references of descriptors that are closed by now, however that came about.
  void sweep();
  // Pins are references as descriptors are; sweep() and closed_fd() cover them.
  [[nodiscard]] PinTable& pins() { return pins_; }
  // Readable when there may be something to sweep: for the poll of whoever serves other processes.
  // Owned by the table.
  [[nodiscard]] int closed_fd() const { return epoll_.get(); }

 private:
  // What is known of one file given out. A token is one open of the object; a memory file stands
  // for all opens of its map.
  struct Given {
    Handle handle;
    std::shared_ptr<Map> user = use_object(handle.object);
    UniqueFd kept;   // token: the end that tells; else closed
    int memory = -1;  // memory file: the map's descriptor of it
    int watch = -1;   // memory file: inotify's
  };

  template <class Object>
  std::shared_ptr<Object> object_of(int fd) const;
  int open_token(Handle handle);
  int open_memory(const Handle& handle, int memory);
  void forget(const FileId& id, std::vector<Given>* dead);
  void sweep_memory(std::vector<Given>* dead);

  mutable std::mutex lock_;
  UniqueFd epoll_;
  UniqueFd inotify_;  // closes of memory files
  std::unordered_map<FileId, Given, FileIdHash> given_;
  std::unordered_map<int, FileId> by_watch_;
  dev_t token_device_ = 0;
  PinTable pins_;
  IdTable<MapObject> maps_;
  IdTable<ProgramObject> programs_;
  IdTable<BtfObject> btfs_;
  IdTable<LinkObject> links_;
};

}  // namespace sluice::bpf
