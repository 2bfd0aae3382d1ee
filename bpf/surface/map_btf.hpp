// BTF of a map's key and value: whether it fits the map, and what special fields the value has.
// Private to bpf/surface.
#pragma once

#include <cstdint>

#include "bpf/maps/map.hpp"
#include "bpf/progs/btf_types.hpp"

namespace sluice::bpf::surface {

// Members of struct bpf_spin_lock, those of inner structures counted.
[[nodiscard]] uint32_t count_spin_locks(const BtfTypes& types, uint32_t id);

// What MAP_CREATE says of spec's BTF ids: 0, EINVAL, EACCES, EOPNOTSUPP (a special field this type
// or sluice does not have) or ENOTSUPP (524). *spin_lock_offset becomes the lock's place in the
// value, or -1.
[[nodiscard]] int check_map_btf(const MapSpec& spec, const BtfTypes& types,
                                int32_t* spin_lock_offset);

}  // namespace sluice::bpf::surface
