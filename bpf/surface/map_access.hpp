// What the element commands share: the map behind a descriptor with the right to read or write it,
// and one update. Private to bpf/surface.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bpf/surface/call.hpp"

namespace sluice::bpf::surface {

using Bytes = std::vector<uint8_t>;

struct Access {
  bool read = false;
  bool write = false;  // a frozen map takes none
};

// EBADF, EINVAL, EPERM.
int map_for(Call& call, uint32_t fd, Access access, std::shared_ptr<MapObject>* map);

// What an element that refers to the object holds; the store keeps the object for that long. 0, or
// -errno of its record.
int refer_to(BpfSurface::State& state, const Caller& caller, std::shared_ptr<ProgramObject> program,
             MapReference* reference);
int refer_to(BpfSurface::State& state, const Caller& caller, std::shared_ptr<MapObject> map,
             MapReference* reference);

// BPF_F_LOCK needs a value with a bpf_spin_lock.
[[nodiscard]] bool lock_allowed(const MapObject& map, uint64_t flags);

// Map::update of copies in our memory; what holds references takes the object behind the caller's
// descriptor in `value`.
int update_element(Call& call, const MapObject& map, const void* key, const void* value,
                   uint64_t flags);

}  // namespace sluice::bpf::surface
