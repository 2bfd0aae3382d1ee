#include "bpf/surface/prog_spec.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "bpf/progs/program_type.hpp"

namespace sluice::bpf::surface {
namespace {

constexpr uint32_t kInfoRecordMax = 252;  // Linux: MAX_FUNCINFO_REC_SIZE, MAX_LINEINFO_REC_SIZE
constexpr uint32_t kLicenceMax = 128;     // Linux: with the terminating zero; longer ones are cut
constexpr uint32_t kFlags = BPF_F_STRICT_ALIGNMENT | BPF_F_ANY_ALIGNMENT | BPF_F_TEST_STATE_FREQ |
                            BPF_F_TEST_RND_HI32 | BPF_F_SLEEPABLE | BPF_F_XDP_HAS_FRAGS;

// Records of the caller's size cut down or filled up to ours. Bytes we do not know must be zero.
template <class Record>
Status read_records(Call& call, uint64_t user, uint32_t count, uint32_t record_size, uint32_t insns, const char* what,
                    std::vector<Record>* records) {
  if (count == 0) return {};
  if (record_size < sizeof(Record) || record_size > kInfoRecordMax || record_size % 4 != 0 || count > insns) {
    return fail(EINVAL, std::string("bad ") + what + " record size or count");
  }
  std::vector<char> bytes;
  if (call.copy_in(user, size_t{count} * record_size, &bytes) != 0) {
    return fail(EFAULT, std::string("bad address of ") + what);
  }
  records->resize(count);
  const char* from = bytes.data();
  for (uint32_t i = 0; i < count; i++, from += record_size) {
    std::memcpy(&(*records)[i], from, sizeof(Record));
    if (std::any_of(from + sizeof(Record), from + record_size, [](char byte) { return byte != 0; })) {
      return fail(E2BIG, std::string("unknown bytes in ") + what);
    }
    const bool ascends = i == 0 ? (*records)[i].insn_off == 0 : (*records)[i].insn_off > (*records)[i - 1].insn_off;
    if (!ascends || (*records)[i].insn_off >= insns) {
      return fail(EINVAL, std::string(what) + " " + std::to_string(i) + ": bad instruction offset");
    }
  }
  return {};
}

Status read_debug_info(Call& call, ProgSpec* spec) {
  const auto& attr = call.attr;
  if (attr.func_info_cnt == 0 && attr.line_info_cnt == 0) return {};
  if (const int error = call.object_of(attr.prog_btf_fd, &spec->btf); error != 0) {
    return fail(-error, "prog_btf_fd is not a BTF descriptor");
  }
  auto read = read_records(call, attr.func_info, attr.func_info_cnt, attr.func_info_rec_size, attr.insn_cnt, "func_info",
                           &spec->func_info);
  if (!read) return read;
  return read_records(call, attr.line_info, attr.line_info_cnt, attr.line_info_rec_size, attr.insn_cnt, "line_info",
                      &spec->line_info);
}

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
  constexpr int kNotSupported = 524;  // the kernel's ENOTSUPP, which has no name outside it
  if (map.spec().type != BPF_MAP_TYPE_ARRAY || map.spec().max_entries != 1) {
    return fail(kNotSupported, "a pointer to the value of map \"" + map.spec().name +
                                   "\" needs an array with one element");
  }
  if (offset < map.spec().value_size) return {};
  return fail(EINVAL, "invalid access to map value pointer, value_size=" + std::to_string(map.spec().value_size) +
                          " off=" + std::to_string(offset));
}

// Index of the map in spec->maps, which it joins if it is new.
Result<int32_t> map_index(ProgSpec* spec, std::shared_ptr<MapObject> map) {
  const auto found = std::find(spec->maps.begin(), spec->maps.end(), map);
  if (found != spec->maps.end()) return static_cast<int32_t>(found - spec->maps.begin());
  if (spec->maps.size() >= kMaxMapsPerProgram) return fail(E2BIG, "more than 64 maps");
  spec->maps.push_back(std::move(map));
  return static_cast<int32_t>(spec->maps.size() - 1);
}

Status resolve_load(Call& call, ProgSpec* spec, Insn* insn) {
  MapLoad load;
  if (!read_map_load(insn[0], &load)) return {};
  if (!load.value && insn[1].imm != 0) return fail(EINVAL, "unrecognized bpf_ld_imm64 insn");
  int32_t fd = insn[0].imm;
  if (load.by_index) {
    if (call.attr.fd_array == 0) return fail(EPROTO, "fd_idx without fd_array is invalid");
    if (fd < 0) return fail(EINVAL, "fd_idx is negative");
    const uint64_t at = call.attr.fd_array + sizeof fd * static_cast<uint64_t>(insn[0].imm);
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
  if ((attr.prog_flags & ~kFlags) != 0) return fail(EINVAL, "unknown prog_flags");
  if (!read_name(attr.prog_name, &spec.name)) return fail(EINVAL, "bad prog_name");
  if (attr.prog_ifindex != 0 || attr.core_relo_cnt != 0 || attr.attach_btf_id != 0 || attr.attach_prog_fd != 0) {
    return fail(EINVAL, "device offload, in-kernel relocation and attachment to BTF ids are not supported");
  }
  if (attr.insn_cnt == 0 || attr.insn_cnt > kMaxInsns) return fail(E2BIG, "no instructions, or too many");
  if (find_program_type(attr.prog_type) == nullptr) {
    return fail(EINVAL, "program type " + std::to_string(attr.prog_type) + " is not supported");
  }
  if (call.copy_in(attr.insns, attr.insn_cnt, &spec.insns) != 0) return fail(EFAULT, "bad address of the instructions");
  if (call.copy_in_string(attr.license, kLicenceMax - 1, &spec.licence) != 0) {
    return fail(EFAULT, "bad address of the licence");
  }
  auto debug = read_debug_info(call, &spec);
  if (!debug) return fail(std::move(debug.error()));
  return spec;
}

Status resolve_maps(Call& call, ProgSpec* spec) {
  spec->resolved = spec->insns;
  for (size_t i = 0; i < spec->resolved.size(); i++) {
    if (!is_load_imm64(spec->resolved[i])) continue;
    if (i + 1 == spec->resolved.size()) return fail(EINVAL, "invalid bpf_ld_imm64 insn");
    auto resolved = resolve_load(call, spec, &spec->resolved[i]);
    if (!resolved) return fail(std::move(resolved.error()));
    i++;
  }
  return {};
}

bool read_log_buffer(const bpf_attr& attr, LogBuffer* buffer) {
  constexpr uint32_t kLevels = 15;  // Linux: BPF_LOG_LEVEL1, LEVEL2, STATS, FIXED
  *buffer = {attr.log_buf, attr.log_size, attr.log_level};
  if ((attr.log_buf != 0) != (attr.log_size != 0)) return false;
  if (attr.log_buf != 0 && attr.log_level == 0) return false;
  return (attr.log_level & ~kLevels) == 0 && attr.log_size <= UINT32_MAX >> 2;
}

int write_log(Call& call, const LogBuffer& buffer, std::string_view text) {
  constexpr uint32_t kFixed = 8;
  if (buffer.at == 0) return 0;
  const bool fits = text.size() < buffer.size;
  if (!fits) {
    const size_t room = buffer.size - 1;
    text = (buffer.level & kFixed) != 0 ? text.substr(0, room) : text.substr(text.size() - room);
  }
  const std::string ended(text);
  if (const int error = call.copy_out(buffer.at, ended.c_str(), ended.size() + 1); error != 0) return error;
  return fits ? 0 : -ENOSPC;
}

}  // namespace sluice::bpf::surface
