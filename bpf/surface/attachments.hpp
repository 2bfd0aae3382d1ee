// What is attached where: an ordered list of programs per port and attach type. Every change goes
// to the Attacher first and is kept only if that takes it. Control threads; locks, and may hold the
// lock for as long as a chain takes to compile.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "bpf/object/objects.hpp"
#include "bpf/surface/attacher.hpp"

namespace sluice::bpf {

struct Attachment {
  uint32_t attach_type = 0;
  uint32_t ifindex = 0;  // 0: detached
  // the name of what it is for, also while there is no such port; empty: detached for good
  std::string port;
  std::shared_ptr<ProgramObject> program;
  uint32_t link_id = 0;         // 0: by PROG_ATTACH
  bool of_configuration = false;  // first in order; bpf(2) does not change it
};

// Where in the list: BPF_F_BEFORE, BPF_F_AFTER, relative to a program or a link.
struct AttachPlace {
  bool before = false;
  bool after = false;
  uint32_t program_id = 0;  // 0 in both: the list's ends
  uint32_t link_id = 0;
  uint64_t revision = 0;    // the list's as the caller knows it; 0: any
};

struct AttachedList {
  std::vector<Attachment> items;
  uint64_t revision = 1;  // counts changes
};

// Which programs go to an attach type; socket filters on TCX_INGRESS are our own.
[[nodiscard]] bool goes_to(uint32_t program_type, uint32_t attach_type);

class Attachments {
 public:
  using Items = std::vector<std::shared_ptr<Attachment>>;
  // Null until the data plane is there. Outlives this, or is reset first.
  void set_attacher(Attacher* attacher);

  // errors, negative: ENODEV (no port), EEXIST (the program is there already), ENOENT
  // (relative to nothing), EINVAL, ERANGE (full), ESTALE (revision), EPERM (before the
  // configuration's), and what compiling says.
  int add(const std::shared_ptr<Attachment>& attachment, const AttachPlace& place);
  // A former daemon's, last on the port of its name; where that fails it stays detached, but keeps
  // the name.
  int add_again(const std::shared_ptr<Attachment>& attachment);
  // The link takes its attachment off when it ends, and tells what it is attached to. Its owner
  // keeps this alive.
  void tie(LinkObject& link);
  // The configuration's, all of a port at once and before any other; their links keep them. An
  // empty list says what the port does without programs.
  Status add_configured(uint32_t ifindex, const Items& attachments);
  // Another program in its place. EINVAL (another type), EPERM (`expected` is not the one there),
  // ENOLINK (detached).
  int replace(const std::shared_ptr<Attachment>& attachment,
              const std::shared_ptr<ProgramObject>& program, const ProgramObject* expected);
  void remove(const std::shared_ptr<Attachment>& attachment);
  // Of PROG_ATTACH: the entry of the program, or with null the first or last. Null: none.
  [[nodiscard]] std::shared_ptr<Attachment> find(uint32_t attach_type, uint32_t ifindex,
                                                 const ProgramObject* program, bool first) const;
  [[nodiscard]] AttachedList list(uint32_t attach_type, uint32_t ifindex) const;
  [[nodiscard]] bool has_port(uint32_t ifindex) const;
  // A program's runs, on all ports.
  [[nodiscard]] RunStatistics statistics(const ProgramObject& program) const;

 private:
  using Key = std::pair<uint32_t, uint32_t>;  // ifindex, attach type
  struct List {
    Items items;
    uint64_t revision = 1;
  };
  using Changes = std::map<uint32_t, Items>;  // by attach type
  int insert(const std::shared_ptr<Attachment>& attachment, const AttachPlace& place);
  int place_of(const List& list, const AttachPlace& place, bool of_configuration,
               size_t* index) const;
  [[nodiscard]] std::vector<std::shared_ptr<ProgramObject>> programs_of(uint32_t ifindex) const;
  Status publish(uint32_t ifindex, Changes changes);
  void keep_statistics(const Attachment& gone) const;

  mutable std::mutex lock_;
  Attacher* attacher_ = nullptr;
  std::map<Key, List> lists_;
};

}  // namespace sluice::bpf
