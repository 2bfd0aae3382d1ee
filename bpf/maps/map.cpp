#include "bpf/maps/map.hpp"

#include <sys/random.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include "base/limits.hpp"
#include "bpf/maps/map_bytes.hpp"
#include "bpf/maps/map_checks.hpp"
#include "bpf/maps/map_types.hpp"
#include "bpf/maps/spin_lock_ops.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kMaxPerCpuValue = 32768;  // Linux: PCPU_MIN_UNIT_SIZE
constexpr uint32_t kMaxSlots = 8192;         // Linux: NR_CPUS on x86
constexpr uint64_t kPaddedLimit = 64u << 20;
constexpr uint32_t kCacheLine = 64;

Status check_shape(const MapSpec& spec, const MapType& row) {
  if (spec.max_entries == 0) return fail(EINVAL, "max_entries 0");
  if (spec.max_entries > kMaxMapEntries) {
    return fail(E2BIG, "max_entries " + std::to_string(spec.max_entries) + ", more than " +
                           std::to_string(kMaxMapEntries));
  }
  if (row.per_cpu && (spec.slots == 0 || spec.slots > kMaxSlots)) {
    return fail(EINVAL,
                "slots " + std::to_string(spec.slots) + ", not 1 to " + std::to_string(kMaxSlots));
  }
  if (spec.extra != 0 && spec.type != BPF_MAP_TYPE_BLOOM_FILTER) {
    return fail(EINVAL,
                "map_extra " + std::to_string(spec.extra) + ", only a bloom filter has one");
  }
  if (spec.spin_lock_offset >= 0 && spec.type != BPF_MAP_TYPE_HASH &&
      spec.type != BPF_MAP_TYPE_ARRAY) {
    return fail(EOPNOTSUPP, "bpf_spin_lock in the value, only hash and array may have one");
  }
  if (spec.spin_lock_offset >= 0 &&
      (spec.spin_lock_offset % 4 != 0 || spec.value_size < kSpinLockSize ||
       static_cast<uint32_t>(spec.spin_lock_offset) > spec.value_size - kSpinLockSize)) {
    return fail(EINVAL,
                "bpf_spin_lock at byte " + std::to_string(spec.spin_lock_offset) + " of the value");
  }
  return row.check(spec);
}

}  // namespace

Status check_flags(const MapSpec& spec, uint32_t allowed) {
  constexpr uint32_t kSyscall = BPF_F_RDONLY | BPF_F_WRONLY;
  char text[64];
  if (uint32_t other = spec.flags & ~(allowed | kSyscall); other != 0) {
    std::snprintf(text, sizeof text, "map_flags %#x, not for this type", other);
    return fail(EINVAL, text);
  }
  if ((spec.flags & kSyscall) == kSyscall)
    return fail(EINVAL, "map_flags: both BPF_F_RDONLY and BPF_F_WRONLY");
  if ((spec.flags & kProgramAccess) == kProgramAccess) {
    return fail(EINVAL, "map_flags: both BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG");
  }
  return {};
}

int check_lock_flag(const MapSpec& spec, uint64_t flags) {
  if (flags == 0) return 0;
  return flags == BPF_F_LOCK && spec.spin_lock_offset >= 0 ? 0 : -EINVAL;
}

Status check_per_cpu(const MapSpec& spec) {
  if (!is_per_cpu(spec.type)) return {};
  if ((spec.flags & BPF_F_NUMA_NODE) != 0)
    return fail(EINVAL, "map_flags: BPF_F_NUMA_NODE on a per-CPU map");
  if (spec.value_size > kMaxPerCpuValue) {
    return fail(E2BIG, "value_size " + std::to_string(spec.value_size) + ", more than " +
                           std::to_string(kMaxPerCpuValue) + " on a per-CPU map");
  }
  return {};
}

uint32_t choose_value_stride(const MapSpec& spec) {
  uint32_t padded = round_up(spec.value_size, kCacheLine);
  bool pad = is_per_cpu(spec.type) && spec.slots > 1 &&
             static_cast<uint64_t>(padded) * spec.slots * spec.max_entries <= kPaddedLimit;
  return pad ? padded : round_up(spec.value_size, 8);
}

Status check_keyless(const MapSpec& spec) {
  if (spec.key_size == 0) return {};
  return fail(EINVAL, "key_size " + std::to_string(spec.key_size) + ", this type has no key");
}

MapCore core_of(const MapSpec& spec) {
  MapCore core{};
  core.type = spec.type;
  core.key_size = spec.key_size;
  core.value_size = spec.value_size;
  core.value_stride = choose_value_stride(spec);
  core.max_entries = spec.max_entries;
  core.flags = spec.flags;
  core.slots = is_per_cpu(spec.type) ? spec.slots : 1;
  core.spin_lock_offset = spec.spin_lock_offset;
  return core;
}

Result<uint64_t> checked_bytes(const MapSpec& spec, uint64_t element_bytes) {
  if (element_bytes <= kMaxMapBytes / spec.max_entries) return element_bytes * spec.max_entries;
  return fail(E2BIG, "value_size " + std::to_string(spec.value_size) + " with max_entries " +
                         std::to_string(spec.max_entries) + " is more than " +
                         std::to_string(kMaxMapBytes) + " bytes");
}

Status choose_hash_key(const MapSpec& spec, uint64_t key[2]) {
  // Zeros would multiply a short key away; these are digits of pi.
  key[0] = 0x243f6a8885a308d3ull;
  key[1] = 0x13198a2e03707344ull;
  if ((spec.flags & BPF_F_ZERO_SEED) != 0) return {};
  if (getrandom(key, 2 * sizeof(uint64_t), 0) != 2 * sizeof(uint64_t))
    return fail(errno_error(errno, "getrandom"));
  return {};
}

int next_index(const void* key, uint32_t max_entries, void* next) {
  uint32_t index = UINT32_MAX;
  if (key != nullptr) std::memcpy(&index, key, sizeof index);
  if (index == max_entries - 1) return -ENOENT;
  index = index >= max_entries ? 0 : index + 1;
  std::memcpy(next, &index, sizeof index);
  return 0;
}

Result<std::shared_ptr<Map>> Map::create(const MapSpec& spec) {
  std::string what = "map " + spec.name + ": create";
  const MapType* row = find_map_type(spec.type);
  if (row == nullptr)
    return fail(
        Error{EINVAL, "map_type " + std::to_string(spec.type) + " is not supported"}.in(what));
  if (Status good = check_shape(spec, *row); !good) return fail(std::move(good.error()).in(what));
  auto map = row->create(spec);
  if (!map) return fail(std::move(map.error()).in(what));
  return map;
}

int Map::lookup_and_erase(const void*, void*, uint64_t flags) {
  return flags != 0 ? -EINVAL : -kNotSupported;
}

int Map::check_reference(const void*, uint64_t) const { return -EINVAL; }

bool Map::claim_kind(uint64_t) { return true; }

int Map::set_reference(const void*, const MapReference&, uint64_t) { return -EINVAL; }

// By key: the types whose keys have an order of their own. The token is the last key copied.
int Map::lookup_batch(Batch& batch, bool and_erase) {
  const BatchSupport support = batch_support(spec_.type);
  const uint32_t room = batch.count;
  batch.count = 0;
  if (and_erase ? !support.lookup_and_erase : !support.lookup) return -kNotSupported;
  if (int error = check_lock_flag(spec_, batch.element_flags); error != 0) return error;
  const uint32_t key_size = spec_.key_size, value_size = user_value_size();
  std::vector<uint8_t> key(key_size), next(key_size);
  if (batch.in != nullptr) std::memcpy(key.data(), batch.in, key_size);
  int error = next_key(batch.in != nullptr ? key.data() : nullptr, next.data());
  while (error == 0 && batch.count < room) {
    key.swap(next);
    const int found =
        lookup(key.data(), static_cast<uint8_t*>(batch.values) + size_t{batch.count} * value_size,
               batch.element_flags);
    if (found == 0) {
      std::memcpy(static_cast<uint8_t*>(batch.keys) + size_t{batch.count} * key_size, key.data(),
                  key_size);
      batch.count++;
    } else if (found != -ENOENT) {  // ENOENT: deleted in between
      return found;
    }
    std::memcpy(batch.out, key.data(), key_size);
    error = next_key(key.data(), next.data());
  }
  return error;
}

uint32_t Map::user_value_size() const {
  return is_per_cpu(spec_.type) ? spec_.slots * round_up(spec_.value_size, 8) : spec_.value_size;
}

bool same_shape(const Map& one, const Map& other) {
  const MapSpec& a = one.spec();
  const MapSpec& b = other.spec();
  return a.type == b.type && a.key_size == b.key_size && a.value_size == b.value_size &&
         a.max_entries == b.max_entries && a.flags == b.flags && a.slots == b.slots;
}

bool is_per_cpu(uint32_t map_type) {
  const MapType* row = find_map_type(map_type);
  return row != nullptr && row->per_cpu;
}

ReferenceKind reference_kind(uint32_t map_type) {
  const MapType* row = find_map_type(map_type);
  return row != nullptr ? row->reference : ReferenceKind::none;
}

BatchSupport batch_support(uint32_t map_type) {
  const MapType* row = find_map_type(map_type);
  return row != nullptr ? row->batch : BatchSupport{};
}

}  // namespace sluice::bpf
