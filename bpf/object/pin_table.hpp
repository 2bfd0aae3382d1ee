// The pins: handle files, each a reference to an object for as long as it has a name outside the
// store. What people do to the files (rename, link, unlink, chmod) goes by without us; inotify on a
// handle's inode tells of a changed link count. Control threads; every call locks.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "bpf/object/handle.hpp"
#include "bpf/object/object_store.hpp"

namespace sluice::bpf {

class PinTable {
 public:
  struct Pin {
    ObjectRef object;
    std::string name;  // in the store
    int watch = -1;
    std::shared_ptr<Map> user = use_object(object);
  };

  PinTable();

  // The directory's tree is where pins may be. Call once, before anything else.
  Status open(const std::string& path);
  [[nodiscard]] bool is_open() const { return store_ != nullptr; }
  [[nodiscard]] ObjectStore& store() { return *store_; }
  [[nodiscard]] int directory() const { return directory_.get(); }
  // Whether `directory` is the pin directory or lies in it, by identity and not by name; the store
  // is outside.
  [[nodiscard]] bool contains(int directory) const;

  // A handle file that has its name: it holds a reference from now on. `record` is the object's. 0
  // or -errno.
  int add(int file, ObjectRef object, const std::string& record);
  // A pin that the store knows from before (`name` of the link there).
  int restore(const std::string& name, ObjectRef object);
  // The object behind a file; false: it is not a pin.
  bool find(int file, ObjectRef* object) const;

  // Readable when a handle's link count changed.
  [[nodiscard]] int changed_fd() const { return inotify_.get(); }
  // Moves pins without a name left to `dead`.
  void sweep(std::vector<Pin>* dead);
  // Drops all references; files stay for the next daemon.
  void leave();

 private:
  int watch(const std::string& name, ObjectRef object);

  mutable std::mutex lock_;
  UniqueFd inotify_;
  UniqueFd directory_;
  FileId root_;
  FileId store_id_;
  std::unique_ptr<ObjectStore> store_;
  std::unordered_map<FileId, Pin, FileIdHash> pins_;
};

}  // namespace sluice::bpf
