#include "bpf/surface/map_btf.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

namespace sluice::bpf::surface {
namespace {

constexpr int kNotSupported = 524;
constexpr std::string_view kSpinLock = "bpf_spin_lock";
// Fields that only kernel objects could fill: out of sluice's scope.
constexpr std::array<std::string_view, 8> kForeignFields{
    "bpf_timer",   "bpf_wq",      "bpf_list_head", "bpf_list_node",
    "bpf_rb_root", "bpf_rb_node", "bpf_refcount",  "bpf_res_spin_lock"};

struct Found {
  uint32_t spin_locks = 0;
  int32_t spin_lock_offset = -1;
  bool foreign = false;
};

// Structures inside structures; the check of references has bounded the depth.
void search(const BtfTypes& types, uint32_t id, uint32_t offset, Found* found) {
  for (uint32_t i = 0; i < BTF_INFO_VLEN(types.type(id).info); i++) {
    const BtfMember member = types.member(id, i);
    const uint32_t inner = types.skip_modifiers(member.type);
    if (types.kind(inner) != BTF_KIND_STRUCT) continue;
    const uint32_t at = offset + member.bit_offset / 8;
    const std::string_view name = types.name(inner);
    if (name == kSpinLock) {
      found->spin_locks++;
      found->spin_lock_offset = static_cast<int32_t>(at);
    } else if (std::find(kForeignFields.begin(), kForeignFields.end(), name) !=
               kForeignFields.end()) {
      found->foreign = true;
    } else {
      search(types, inner, at, found);
    }
  }
}

// The array types: the key is a plain int. A section of variables has no key, and one element.
int check_array(const MapSpec& spec, const BtfTypes& types) {
  if (spec.btf_key_type_id == 0) {
    const bool section = types.kind(spec.btf_value_type_id) == BTF_KIND_DATASEC;
    return spec.type == BPF_MAP_TYPE_ARRAY && spec.max_entries == 1 && section ? 0 : EINVAL;
  }
  const uint32_t key = types.skip_modifiers(spec.btf_key_type_id);
  if (types.kind(key) != BTF_KIND_INT) return EINVAL;
  const uint32_t data = types.word(key, 0);
  return BTF_INT_BITS(data) == 32 && BTF_INT_OFFSET(data) == 0 ? 0 : EINVAL;
}

int check_type_rule(const MapSpec& spec, const BtfTypes& types) {
  switch (spec.type) {
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_PERCPU_ARRAY: return check_array(spec, types);
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_LRU_HASH:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH: return spec.btf_key_type_id == 0 ? EINVAL : 0;
    case BPF_MAP_TYPE_LPM_TRIE:
      if (spec.btf_key_type_id == 0) return EINVAL;
      return types.kind(types.skip_modifiers(spec.btf_key_type_id)) == BTF_KIND_STRUCT ? 0 : EINVAL;
    case BPF_MAP_TYPE_PROG_ARRAY: return spec.btf_key_type_id == 0 ? EINVAL : 0;
    case BPF_MAP_TYPE_BLOOM_FILTER: return spec.btf_key_type_id == 0 ? 0 : EINVAL;
    default: return spec.btf_key_type_id == 0 ? EINVAL : kNotSupported;
  }
}

bool has_size(const BtfTypes& types, uint32_t id, uint32_t size) {
  if (id == 0 || !types.known(id)) return false;
  const auto found = types.size_of(id);
  return found && *found == size;
}

}  // namespace

uint32_t count_spin_locks(const BtfTypes& types, uint32_t id) {
  Found found;
  search(types, id, 0, &found);
  return found.spin_locks;
}

int check_map_btf(const MapSpec& spec, const BtfTypes& types, int32_t* spin_lock_offset) {
  if (spec.btf_key_type_id != 0 && !has_size(types, spec.btf_key_type_id, spec.key_size))
    return EINVAL;
  if (!has_size(types, spec.btf_value_type_id, spec.value_size)) return EINVAL;
  Found found;
  const uint32_t value = types.skip_modifiers(spec.btf_value_type_id);
  if (types.kind(value) == BTF_KIND_STRUCT) search(types, value, 0, &found);
  if (found.spin_locks > 1) return E2BIG;
  if (found.spin_locks == 1) {
    if ((spec.flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)) != 0) return EACCES;
    if (spec.type != BPF_MAP_TYPE_HASH && spec.type != BPF_MAP_TYPE_ARRAY) return EOPNOTSUPP;
    if (found.spin_lock_offset % 4 != 0) return EINVAL;
    *spin_lock_offset = found.spin_lock_offset;
  }
  if (found.foreign) return EOPNOTSUPP;
  return check_type_rule(spec, types);
}

}  // namespace sluice::bpf::surface
