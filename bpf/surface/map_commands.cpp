// MAP_CREATE, the element commands, MAP_FREEZE.
#include <fcntl.h>

#include "base/limits.hpp"
#include "bpf/surface/call.hpp"

namespace sluice::bpf::surface {
namespace {

using std::shared_ptr;

// Reading or writing elements needs the right on the descriptor; a frozen map takes no writes.
enum class Access { read, write };

int map_for(Call& call, Access access, shared_ptr<MapObject>* map) {
  Handle handle;
  if (const int error = call.object_of(call.attr.map_fd, map, &handle); error != 0) return error;
  if (access == Access::read) return handle.readable ? 0 : -EPERM;
  return handle.writable && !(*map)->frozen.load() ? 0 : -EPERM;
}

using Bytes = std::vector<uint8_t>;

int read_key(Call& call, const MapObject& map, Bytes* key) {
  return call.copy_in(call.attr.key, map.map->spec().key_size, key);
}

int check_btf(Call& call, shared_ptr<BtfObject>* btf) {
  const auto& attr = call.attr;
  if (attr.btf_vmlinux_value_type_id != 0) return -EINVAL;  // struct_ops maps only
  if (attr.btf_key_type_id == 0 && attr.btf_value_type_id == 0) return 0;
  if (attr.btf_value_type_id == 0) return -EINVAL;
  return call.object_of(attr.btf_fd, btf);
}

}  // namespace

long map_create(Call& call) {
  const auto& attr = call.attr;
  MapSpec spec;
  if (!read_name(attr.map_name, &spec.name) || attr.map_ifindex != 0 || attr.inner_map_fd != 0) return -EINVAL;
  if ((attr.map_flags & BPF_F_NUMA_NODE) == 0 && attr.numa_node != 0) return -EINVAL;
  if (attr.map_extra != 0) return -EINVAL;
  constexpr uint32_t kOneWay = BPF_F_RDONLY | BPF_F_WRONLY;
  if ((attr.map_flags & kOneWay) == kOneWay) return -EINVAL;
  auto object = std::make_shared<MapObject>();
  if (const int error = check_btf(call, &object->btf); error != 0) return error;
  spec.type = attr.map_type;
  spec.key_size = attr.key_size;
  spec.value_size = attr.value_size;
  spec.max_entries = attr.max_entries;
  // The one-way flags belong to the descriptor, not to the map.
  spec.flags = attr.map_flags & ~kOneWay;
  spec.slots = is_per_cpu(attr.map_type) ? call.state.map_slots : 1;
  spec.btf_key_type_id = attr.btf_key_type_id;
  spec.btf_value_type_id = attr.btf_value_type_id;
  auto map = Map::create(spec);
  if (!map) {
    const int code = map.error().code;
    if (call.caller.failure != nullptr) *call.caller.failure = {std::move(map.error()), {}, {}};
    return -code;
  }
  object->map = std::move(*map);
  object->uid = call.caller.uid;
  call.objects.add(object);
  return call.objects.open({object, (attr.map_flags & BPF_F_WRONLY) == 0, (attr.map_flags & BPF_F_RDONLY) == 0});
}

long map_lookup(Call& call) {
  shared_ptr<MapObject> map;
  if ((call.attr.flags & ~uint64_t{BPF_F_LOCK}) != 0) return -EINVAL;
  if (const int error = map_for(call, Access::read, &map); error != 0) return error;
  if ((call.attr.flags & BPF_F_LOCK) != 0) return -EINVAL;  // no map here has a bpf_spin_lock
  Bytes key;
  if (const int error = read_key(call, *map, &key); error != 0) return error;
  Bytes value(map->map->user_value_size());
  if (const int error = map->map->lookup(key.data(), value.data()); error != 0) return error;
  return call.copy_out(call.attr.value, value.data(), value.size());
}

long map_update(Call& call) {
  shared_ptr<MapObject> map;
  if (const int error = map_for(call, Access::write, &map); error != 0) return error;
  if ((call.attr.flags & BPF_F_LOCK) != 0) return -EINVAL;
  Bytes key;
  Bytes value;
  if (const int error = read_key(call, *map, &key); error != 0) return error;
  if (const int error = call.copy_in(call.attr.value, map->map->user_value_size(), &value); error != 0) return error;
  return map->map->update(key.data(), value.data(), call.attr.flags);
}

long map_delete(Call& call) {
  shared_ptr<MapObject> map;
  if (const int error = map_for(call, Access::write, &map); error != 0) return error;
  Bytes key;
  if (const int error = read_key(call, *map, &key); error != 0) return error;
  return map->map->erase(key.data());
}

long map_next_key(Call& call) {
  shared_ptr<MapObject> map;
  if (const int error = map_for(call, Access::read, &map); error != 0) return error;
  Bytes key;
  if (call.attr.key != 0) {
    if (const int error = read_key(call, *map, &key); error != 0) return error;
  }
  Bytes next(map->map->spec().key_size);
  const int error = map->map->next_key(call.attr.key == 0 ? nullptr : key.data(), next.data());
  return error != 0 ? error : call.copy_out(call.attr.next_key, next.data(), next.size());
}

long map_freeze(Call& call) {
  shared_ptr<MapObject> map;
  Handle handle;
  if (const int error = call.object_of(call.attr.map_fd, &map, &handle); error != 0) return error;
  if (!handle.writable) return -EPERM;
  if (map->frozen.exchange(true)) return -EBUSY;
  // No new writable mapping. A file that lies in the store takes no seals.
  if (const int memory = map->map->memory_file(); memory >= 0) ::fcntl(memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
  return 0;
}

}  // namespace sluice::bpf::surface
