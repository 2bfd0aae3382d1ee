// What bpf(2) hands out: maps, programs and BTF with what the subsystem knows of each beside the
// thing itself. Shared by std::shared_ptr: descriptors, programs and in-process users are
// references, the last one gone frees the object. Constant after creation, but where a field says
// otherwise. Control threads only.
#pragma once

#include <linux/bpf.h>
#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "bpf/jit/jit.hpp"
#include "bpf/progs/annotated_program.hpp"

namespace sluice::bpf {

class RecordFile;

struct BtfObject {
  uint32_t id = 0;
  uid_t uid = 0;
  std::string name;
  std::vector<uint8_t> blob;  // as loaded, header checked
  // what the store keeps of it (object_store.hpp locks); null: nothing
  std::shared_ptr<RecordFile> record;
};

struct MapObject {
  uint32_t id = 0;
  uid_t uid = 0;
  std::shared_ptr<Map> map;
  std::shared_ptr<BtfObject> btf;   // may be null
  std::atomic<bool> frozen{false};  // MAP_FREEZE: no more writes through bpf(2)
  std::shared_ptr<RecordFile> record;  // as BtfObject's
  std::atomic<uint32_t> users{0};      // use_map
};

// A reference of who can change the map: a descriptor, a pin, the configuration. The last one gone,
// Map::release_users; programs that use the map may keep it longer.
[[nodiscard]] std::shared_ptr<Map> use_map(std::shared_ptr<MapObject> object);

// The map as the verifier, the JIT and LoadedProgram know it: keeps the whole object alive, and so
// its id valid.
[[nodiscard]] inline std::shared_ptr<Map> share_map(const std::shared_ptr<MapObject>& object) {
  return {object, object->map.get()};
}

// A constant to programs is one to those who map it. So is a frozen map; where its file is sealed,
// that is told by the seal.
[[nodiscard]] bool mappable_for_writing(const MapObject& map);

using Tag = std::array<uint8_t, 8>;

struct ProgramObject {
  uint32_t id = 0;
  uid_t uid = 0;
  uint32_t type = BPF_PROG_TYPE_UNSPEC;
  uint32_t expected_attach_type = 0;
  std::string name;     // attr's prog_name
  std::string licence;
  bool gpl_compatible = false;
  Tag tag{};
  uint64_t load_time_ns = 0;  // CLOCK_BOOTTIME
  uint64_t verified_insns = 0;
  std::shared_ptr<const AnnotatedProgram> annotated;  // shares its maps' objects
  std::vector<Insn> xlated;   // as shown to people: map ids where descriptors were
  std::shared_ptr<BtfObject> btf;      // may be null
  std::vector<bpf_func_info> func_info;  // of xlated
  std::vector<bpf_line_info> line_info;
  // Filled at its first use, if ever (bpf/surface/machine_code.hpp).
  std::mutex compiling;
  bool compiled = false;
  std::shared_ptr<const jit::CompiledProgram> machine_code;  // null: not compiled, or it cannot be
  // Runs by PROG_TEST_RUN, and those of attachments that are no more.
  std::atomic<uint64_t> run_count{0};
  std::atomic<uint64_t> run_time_ns{0};

  // What the programs of one prog_array have in common (MapReference::kind).
  [[nodiscard]] uint64_t tail_kind() const { return type | uint64_t{expected_attach_type} << 32; }
  // as loaded, map loads carry indices into used_maps(): to verify it again
  std::vector<Insn> source;
  std::vector<bpf_func_info> source_func_info;
  std::vector<bpf_line_info> source_line_info;
  uint32_t flags = 0;          // BPF_F_STRICT_ALIGNMENT, ...
  std::shared_ptr<RecordFile> record;  // as BtfObject's

  // Maps the program refers to, and those PROG_BIND_MAP added.
  [[nodiscard]] std::vector<std::shared_ptr<MapObject>> used_maps() const;
  // False: it had the map already.
  bool bind_map(std::shared_ptr<MapObject> map);

 private:
  mutable std::mutex lock_;
  std::vector<std::shared_ptr<MapObject>> used_maps_;
};

// What a later daemon attaches again: ports by name, since the configuration may have others by
// then.
struct LinkTarget {
  std::shared_ptr<ProgramObject> program;
  std::string port;  // empty: detached for good
};

// A program attached to a port. When the last reference goes, `detach` takes it off.
struct LinkObject {
  LinkObject() = default;
  LinkObject(const LinkObject&) = delete;
  LinkObject& operator=(const LinkObject&) = delete;
  ~LinkObject() {
    if (detach) detach();
  }

  uint32_t id = 0;
  uid_t uid = 0;
  uint32_t attach_type = 0;
  // the order of a port's links, over all daemons of the pin directory
  std::atomic<uint64_t> sequence{0};
  std::shared_ptr<struct Attachment> attachment;  // bpf/surface/attachments.hpp
  std::shared_ptr<RecordFile> record;  // as BtfObject's
  std::function<void()> detach;
  // as it is now; empty: the configuration's, which makes it anew
  std::function<LinkTarget()> target;
};

// While one lives, test runs count into their programs' statistics.
struct StatsObject {
  explicit StatsObject(std::atomic<uint32_t>& users) : users(users) { users++; }
  StatsObject(const StatsObject&) = delete;
  StatsObject& operator=(const StatsObject&) = delete;
  ~StatsObject() { users--; }
  std::atomic<uint32_t>& users;
};

[[nodiscard]] inline std::shared_ptr<const AnnotatedProgram> share_program(
    const std::shared_ptr<ProgramObject>& object) {
  return {object, object->annotated.get()};
}

// What a descriptor or a pin stands for.
using ObjectRef = std::variant<std::shared_ptr<MapObject>, std::shared_ptr<ProgramObject>,
                               std::shared_ptr<BtfObject>, std::shared_ptr<LinkObject>,
                               std::shared_ptr<StatsObject>>;

// use_map of a map; null for other objects.
[[nodiscard]] std::shared_ptr<Map> use_object(const ObjectRef& object);

// The tag of 6.18: the first bytes of the SHA-256 over the instructions, with map descriptors taken
// for 0.
[[nodiscard]] Tag program_tag(std::span<const Insn> insns);

}  // namespace sluice::bpf
