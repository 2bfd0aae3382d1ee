// The element commands and MAP_FREEZE.
#include <fcntl.h>

#include "bpf/surface/map_access.hpp"

namespace sluice::bpf::surface {
namespace {

using std::shared_ptr;

// The key at `address`; a type without keys wants none. A null pointer then stands for it.
int read_key(Call& call, const MapObject& map, uint64_t address, Bytes* key) {
  const uint32_t size = map.map->spec().key_size;
  if (size == 0 && address != 0) return -EINVAL;
  return call.copy_in(address, size, key);
}

const void* pointer_to(const Bytes& key) { return key.empty() ? nullptr : key.data(); }

bool is_keyless_queue(uint32_t type) {
  return type == BPF_MAP_TYPE_QUEUE || type == BPF_MAP_TYPE_STACK;
}

}  // namespace

long map_lookup(Call& call) {
  const auto& attr = call.attr;
  shared_ptr<MapObject> map;
  if ((attr.flags & ~uint64_t{BPF_F_LOCK}) != 0) return -EINVAL;
  if (const int error = map_for(call, attr.map_fd, {.read = true}, &map); error != 0) return error;
  if (!lock_allowed(*map, attr.flags)) return -EINVAL;
  Bytes key;
  if (const int error = read_key(call, *map, attr.key, &key); error != 0) return error;
  Bytes value(map->map->user_value_size());
  // whether it has this value
  const bool asks = map->map->spec().type == BPF_MAP_TYPE_BLOOM_FILTER;
  if (asks && call.copy_in(attr.value, value.data(), value.size()) != 0) return -EFAULT;
  const int error = map->map->lookup(pointer_to(key), value.data(), attr.flags);
  return error != 0 || asks ? error : call.copy_out(attr.value, value.data(), value.size());
}

long map_update(Call& call) {
  const auto& attr = call.attr;
  shared_ptr<MapObject> map;
  if (const int error = map_for(call, attr.map_fd, {.write = true}, &map); error != 0) return error;
  if (!lock_allowed(*map, attr.flags)) return -EINVAL;
  Bytes key;
  Bytes value;
  if (const int error = read_key(call, *map, attr.key, &key); error != 0) return error;
  if (const int error = call.copy_in(attr.value, map->map->user_value_size(), &value); error != 0)
    return error;
  return update_element(call, *map, pointer_to(key), value.data(), attr.flags);
}

long map_delete(Call& call) {
  shared_ptr<MapObject> map;
  if (const int error = map_for(call, call.attr.map_fd, {.write = true}, &map); error != 0)
    return error;
  Bytes key;
  if (const int error = read_key(call, *map, call.attr.key, &key); error != 0) return error;
  return map->map->erase(pointer_to(key));
}

long map_next_key(Call& call) {
  const auto& attr = call.attr;
  shared_ptr<MapObject> map;
  if (const int error = map_for(call, attr.map_fd, {.read = true}, &map); error != 0) return error;
  Bytes key;
  if (attr.key != 0) {
    if (const int error = read_key(call, *map, attr.key, &key); error != 0) return error;
  }
  Bytes next(map->map->spec().key_size);
  const int error = map->map->next_key(pointer_to(key), next.data());
  return error != 0 ? error : call.copy_out(attr.next_key, next.data(), next.size());
}

long map_lookup_and_delete(Call& call) {
  const auto& attr = call.attr;
  shared_ptr<MapObject> map;
  if ((attr.flags & ~uint64_t{BPF_F_LOCK}) != 0) return -EINVAL;
  if (const int error = map_for(call, attr.map_fd, {.read = true, .write = true}, &map); error != 0)
    return error;
  if (attr.flags != 0 && is_keyless_queue(map->map->spec().type)) return -EINVAL;
  if (!lock_allowed(*map, attr.flags)) return -EINVAL;
  Bytes key;
  if (const int error = read_key(call, *map, attr.key, &key); error != 0) return error;
  Bytes value(map->map->user_value_size());
  const int error = map->map->lookup_and_erase(pointer_to(key), value.data(), attr.flags);
  return error != 0 ? error : call.copy_out(attr.value, value.data(), value.size());
}

long map_freeze(Call& call) {
  shared_ptr<MapObject> map;
  Handle handle;
  if (const int error = call.object_of(call.attr.map_fd, &map, &handle); error != 0) return error;
  if (!handle.writable || map->frozen.load()) return -EPERM;
  const bool mapped_to_read = (map->map->spec().flags & BPF_F_RDONLY_PROG) != 0;
  if (!mapped_to_read && map->map->mapped_for_writing()) return -EBUSY;
  if (map->frozen.exchange(true)) return -EBUSY;
  // No new writable mapping. A file of the store takes no seals: descriptors from before the freeze
  // can still map it.
  if (const int memory = map->map->memory_file(); memory >= 0)
    ::fcntl(memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
  return save_changed(call, map);
}

}  // namespace sluice::bpf::surface
