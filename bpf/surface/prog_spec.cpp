#include "bpf/surface/prog_spec.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "bpf/progs/program_type.hpp"
#include "bpf/surface/debug_info.hpp"

namespace sluice::bpf::surface {
namespace {

constexpr uint32_t kLicenceMax = 128;     // Linux: with the terminating zero; longer ones are cut
constexpr uint32_t kFlags = BPF_F_STRICT_ALIGNMENT | BPF_F_ANY_ALIGNMENT | BPF_F_TEST_STATE_FREQ |
                            BPF_F_TEST_RND_HI32 | BPF_F_XDP_HAS_FRAGS | kXdpDevBoundOnly |
                            kProgTestRegInvariants;

// How a 64-bit immediate load names its map, and the two ways it may use it.
struct MapLoad {
  bool by_index;  // into fd_array
  bool value;     // yields a pointer into the map's value
};

bool read_map_load(const Insn& insn, MapLoad* load) {
  switch (insn.src_reg) {
    case BPF_PSEUDO_MAP_FD: *load = {false, false}; return true;
    case BPF_PSEUDO_MAP_VALUE: *load = {false, true}; return true;
    case BPF_PSEUDO_MAP_IDX: *load = {true, false}; return true;
    case BPF_PSEUDO_MAP_IDX_VALUE: *load = {true, true}; return true;
    default: return false;
  }
}

Status check_direct_value(const Map& map, uint32_t offset) {
  if (map.spec().type != BPF_MAP_TYPE_ARRAY || map.spec().max_entries != 1) {
    return fail(map.spec().type == BPF_MAP_TYPE_ARRAY ? int{kEnotsupp} : EINVAL,
                "a pointer to the value of map \"" + map.spec().name +
                    "\" needs an array with one element");
  }
  if (offset < map.spec().value_size) return {};
  return fail(EINVAL, "invalid access to map value pointer, value_size=" +
                          std::to_string(map.spec().value_size) + " off=" + std::to_string(offset));
}

// Index of the map in spec->maps, which it joins if it is new.
Result<int32_t> map_index(ProgSpec* spec, std::shared_ptr<MapObject> map) {
  const auto found = std::find(spec->maps.begin(), spec->maps.end(), map);
  if (found != spec->maps.end()) return static_cast<int32_t>(found - spec->maps.begin());
  if (spec->maps.size() >= kMaxMapsPerProgram) return fail(E2BIG, "more than 64 maps");
  spec->maps.push_back(std::move(map));
  return static_cast<int32_t>(spec->maps.size() - 1);
}

// Maps and BTF may stand in fd_array.
Status bind_fd(Call& call, ProgSpec* spec, uint32_t index) {
  int32_t fd = 0;
  if (index >= kMaxMapsPerProgram * 2) return fail(E2BIG, "fd_array_cnt is too large");
  if (call.copy_in(call.attr.fd_array + sizeof fd * uint64_t{index}, &fd, sizeof fd) != 0) {
    return fail(EFAULT, "bad address of fd_array");
  }
  Handle handle;
  if (const int error = call.handle_of(static_cast<uint32_t>(fd), &handle); error != 0) {
    return fail(-error, "fd " + std::to_string(fd) + " is not pointing to valid bpf_map or btf");
  }
  if (std::holds_alternative<std::shared_ptr<BtfObject>>(handle.object)) return {};
  auto* map = std::get_if<std::shared_ptr<MapObject>>(&handle.object);
  if (map == nullptr)
    return fail(EINVAL, "fd " + std::to_string(fd) + " is not pointing to valid bpf_map or btf");
  const auto joined = map_index(spec, std::move(*map));
  return joined ? Status{} : fail(joined.error());
}

Status resolve_load(Call& call, ProgSpec* spec, Insn* insn) {
  MapLoad load;
  if (!read_map_load(insn[0], &load)) return {};
  if (!load.value && insn[1].imm != 0) return fail(EINVAL, "unrecognized bpf_ld_imm64 insn");
  int32_t fd = insn[0].imm;
  if (load.by_index) {
    if (call.attr.fd_array == 0) return fail(EPROTO, "fd_idx without fd_array is invalid");
    const uint64_t at =
        call.attr.fd_array + sizeof fd * static_cast<uint64_t>(static_cast<int64_t>(insn[0].imm));
    if (call.copy_in(at, &fd, sizeof fd) != 0) return fail(EFAULT, "bad address of fd_array");
  }
  std::shared_ptr<MapObject> map;
  if (const int error = call.object_of(static_cast<uint32_t>(fd), &map); error != 0) {
    return fail(-error, "fd " + std::to_string(fd) + " is not pointing to valid bpf_map");
  }
  if (load.value) {
    auto allowed = check_direct_value(*map->map, static_cast<uint32_t>(insn[1].imm));
    if (!allowed) return allowed;
  }
  const auto index = map_index(spec, std::move(map));
  if (!index) return fail(index.error());
  insn[0].src_reg = load.value ? BPF_PSEUDO_MAP_VALUE : BPF_PSEUDO_MAP_FD;
  insn[0].imm = *index;
  return {};
}

}  // namespace

Result<ProgSpec> read_prog_spec(Call& call) {
  const auto& attr = call.attr;
  ProgSpec spec;
  spec.type = attr.prog_type;
  spec.flags = attr.prog_flags;
  spec.expected_attach_type = attr.expected_attach_type;
  if ((attr.prog_flags & ~kFlags) != 0) return fail(EINVAL, "unknown prog_flags");
  if (attr.prog_ifindex != 0 || attr.attach_btf_id != 0 || attr.attach_prog_fd != 0) {
    return fail(EINVAL, "device offload and attachment to BTF ids are not supported");
  }
  if (attr.insn_cnt == 0 || attr.insn_cnt > kMaxInsns)
    return fail(E2BIG, "no instructions, or too many");
  if (call.copy_in(attr.insns, attr.insn_cnt, &spec.insns) != 0)
    return fail(EFAULT, "bad address of the instructions");
  if (call.copy_in_string(attr.license, kLicenceMax - 1, &spec.licence) != 0) {
    return fail(EFAULT, "bad address of the licence");
  }
  if (find_program_type(attr.prog_type) == nullptr) {
    return fail(EINVAL, "program type " + std::to_string(attr.prog_type) + " is not supported");
  }
  if (!read_name(attr.prog_name, &spec.name)) return fail(EINVAL, "bad prog_name");
  auto debug = read_debug_info(call, &spec);
  if (!debug) return fail(std::move(debug.error()));
  return spec;
}

Status resolve_maps(Call& call, ProgSpec* spec) {
  spec->resolved = spec->insns;
  // Those the program is given with fd_array belong to it, used or not.
  for (uint32_t i = 0; i < call.newer<uint32_t>(kProgFdArrayCountAt); i++) {
    auto bound = bind_fd(call, spec, i);
    if (!bound) return bound;
  }
  for (size_t i = 0; i < spec->resolved.size(); i++) {
    if (!is_load_imm64(spec->resolved[i])) continue;
    if (i + 1 == spec->resolved.size()) return fail(EINVAL, "invalid bpf_ld_imm64 insn");
    auto resolved = resolve_load(call, spec, &spec->resolved[i]);
    if (!resolved) return fail(std::move(resolved.error()));
    i++;
  }
  return {};
}

}  // namespace sluice::bpf::surface
