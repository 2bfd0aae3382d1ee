// The private part of a pin directory, PINS/.store: the records and the memory of what is pinned.
// Files are called KIND.ID (the record) and KIND.ID.PART (memory); KIND is bpf-map, bpf-prog,
// bpf-link or btf, ID a random 64-bit number.
//
// A pin's handle file has a second name here, pin.KIND.ID.NUMBER: so the kernel's link count says
// how many names people have given it, whether the daemon runs or not, and a copy of a handle is
// not a pin. Control threads; every call locks.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "bpf/object/objects.hpp"
#include "bpf/object/record.hpp"

namespace sluice::bpf {

// What the records hold, beside the objects they refer to.
struct MapRecord {
  MapSpec spec;  // without pointers
  bool has_inner = false;
  MapSpec inner;
  uint32_t uid = 0;
  bool frozen = false;
  std::string btf;  // record's name; empty: none
};

struct ProgramRecord {
  uint32_t uid = 0;
  uint32_t type = 0;
  uint32_t expected_attach_type = 0;
  uint32_t flags = 0;
  uint64_t tag = 0;
  std::string name;
  std::string licence;
  std::vector<Insn> insns;  // map loads carry indices into `maps`
  std::vector<std::string> maps;
  std::string btf;
  std::vector<bpf_func_info> func_info;
  std::vector<bpf_line_info> line_info;
};

struct LinkRecord {
  uint32_t uid = 0;
  uint32_t attach_type = 0;
  uint64_t sequence = 0;
  std::string program;  // record's name
  std::string port;     // its name; empty: detached for good
};

struct BtfRecord {
  uint32_t uid = 0;
  std::string name;
  std::vector<uint8_t> blob;
};

class ObjectStore {
 public:
  // Makes PINS/.store if it is not there. errors: EBUSY (another daemon has it), those of mkdir and
  // open.
  static Result<std::unique_ptr<ObjectStore>> open(int pins);
  ~ObjectStore();

  [[nodiscard]] int directory() const { return directory_->fd.get(); }
  // For a map about to be made, and for one whose record was read.
  [[nodiscard]] std::shared_ptr<MapStore> new_map_store();
  [[nodiscard]] std::shared_ptr<MapStore> old_map_store(const std::string& name);
  // From now on objects that end leave their files: the daemon leaves.
  void leave() { directory_->leaving.store(true); }

  // Writes the object's record and those it refers to, unless they are there; gives its name.
  // `again`: also if it is.
  Result<std::string> save(const ObjectRef& object, bool again = false);

  // Whether it has a record.
  [[nodiscard]] bool has(const ObjectRef& object);

  // EBADMSG, ENOENT.
  Result<MapRecord> read_map(const std::string& name);
  Result<ProgramRecord> read_program(const std::string& name);
  Result<LinkRecord> read_link(const std::string& name);
  Result<BtfRecord> read_btf(const std::string& name);
  // Makes the object that was read the owner of its record's file.
  template <class Object>
  void adopt(const std::shared_ptr<Object>& object, const std::string& name) {
    object->record = std::make_shared<RecordFile>(directory_, name);
  }

  // Gives a handle file a name here. 0 or -errno.
  int link_pin(int file, const std::string& record, std::string* pin);
  void unlink(const std::string& name);
  // Moves a file, and those that begin with its name and a dot, to .store/damaged.
  void set_aside(const std::string& name);

 private:
  explicit ObjectStore(std::shared_ptr<StoreDirectory> directory)
      : directory_(std::move(directory)) {}
  Result<std::string> save_map(const std::shared_ptr<MapObject>& map, bool again);
  Result<std::string> save_program(const std::shared_ptr<ProgramObject>& program, bool again);
  Result<std::string> save_link(const std::shared_ptr<LinkObject>& link, bool again);
  Result<std::string> save_btf(const std::shared_ptr<BtfObject>& btf);
  Result<std::string> save_unlocked(const ObjectRef& object, bool again);

  std::mutex lock_;
  std::shared_ptr<StoreDirectory> directory_;
};

// KIND.0123456789abcdef, and the number in it.
[[nodiscard]] std::string record_name(const char* kind, uint64_t number);
[[nodiscard]] uint64_t record_number(const std::string& name);
[[nodiscard]] std::string random_name(const char* kind);
// The names in a directory of ours, sorted.
[[nodiscard]] std::vector<std::string> names_in(int directory);

}  // namespace sluice::bpf
