// What bpf(2) hands out: maps, programs and BTF with what the subsystem knows of each beside the thing itself. Shared by
// std::shared_ptr: descriptors, programs and in-process users are references, the last one gone frees the object.
// Constant after creation, but where a field says otherwise. Control threads only.
#pragma once

#include <linux/bpf.h>
#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "bpf/progs/annotated_program.hpp"

namespace sluice::bpf {

struct BtfObject {
  uint32_t id = 0;
  uid_t uid = 0;
  std::string name;
  std::vector<uint8_t> blob;  // as loaded, header checked
};

struct MapObject {
  uint32_t id = 0;
  uid_t uid = 0;
  std::shared_ptr<Map> map;
  std::shared_ptr<BtfObject> btf;   // may be null
  uint64_t extra = 0;               // map_extra
  std::atomic<bool> frozen{false};  // MAP_FREEZE: no more writes through bpf(2)
};

// The map as the verifier, the JIT and LoadedProgram know it: keeps the whole object alive, and so its id valid.
[[nodiscard]] inline std::shared_ptr<Map> share_map(const std::shared_ptr<MapObject>& object) {
  return {object, object->map.get()};
}

using Tag = std::array<uint8_t, 8>;

struct ProgramObject {
  uint32_t id = 0;
  uid_t uid = 0;
  uint32_t type = BPF_PROG_TYPE_UNSPEC;
  std::string name;     // attr's prog_name
  std::string licence;
  bool gpl_compatible = false;
  Tag tag{};
  uint64_t load_time_ns = 0;  // CLOCK_BOOTTIME
  uint64_t verified_insns = 0;
  std::shared_ptr<const AnnotatedProgram> annotated;  // shares its maps' objects
  std::vector<Insn> xlated;   // as shown to people: map ids where descriptors were
  std::shared_ptr<BtfObject> btf;      // may be null
  std::vector<bpf_func_info> func_info;
  std::vector<bpf_line_info> line_info;

  // Maps the program refers to, and those PROG_BIND_MAP added.
  [[nodiscard]] std::vector<std::shared_ptr<MapObject>> used_maps() const;
  // False: it had the map already.
  bool bind_map(std::shared_ptr<MapObject> map);

 private:
  mutable std::mutex lock_;
  std::vector<std::shared_ptr<MapObject>> used_maps_;
};

[[nodiscard]] inline std::shared_ptr<const AnnotatedProgram> share_program(
    const std::shared_ptr<ProgramObject>& object) {
  return {object, object->annotated.get()};
}

// The tag of 6.18: the first bytes of the SHA-256 over the instructions, with map descriptors taken for 0.
[[nodiscard]] Tag program_tag(std::span<const Insn> insns);

}  // namespace sluice::bpf
