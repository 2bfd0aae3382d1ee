// MAP_CREATE.
#include <unistd.h>

#include "bpf/progs/btf_types.hpp"
#include "bpf/surface/map_access.hpp"
#include "bpf/surface/map_btf.hpp"

namespace sluice::bpf::surface {
namespace {

constexpr uint32_t kOneWay = BPF_F_RDONLY | BPF_F_WRONLY;

long refuse(Call& call, Error error) {
  const int code = error.code;
  if (call.caller.failure != nullptr) *call.caller.failure = {std::move(error), {}, {}};
  return -code;
}

bool is_numa_node(uint32_t node) {
  return ::access(("/sys/devices/system/node/node" + std::to_string(node)).c_str(), F_OK) == 0 ||
         node == 0;
}

// What does not depend on the type, in the kernel's order.
int check_fields(const union bpf_attr& attr) {
  if (attr.btf_vmlinux_value_type_id != 0) return EINVAL;  // struct_ops maps only
  if (attr.btf_key_type_id != 0 && attr.btf_value_type_id == 0) return EINVAL;
  if (attr.map_type != BPF_MAP_TYPE_BLOOM_FILTER && attr.map_extra != 0) return EINVAL;
  if ((attr.map_flags & kOneWay) == kOneWay) return EINVAL;
  return (attr.map_flags & BPF_F_NUMA_NODE) == 0 || is_numa_node(attr.numa_node) ? 0 : EINVAL;
}

// The map that inner maps are to look like. What it looks like is kept, not its id.
int read_inner(Call& call, MapSpec* spec) {
  if (reference_kind(spec->type) != ReferenceKind::map || spec->value_size != sizeof(uint32_t))
    return 0;
  std::shared_ptr<MapObject> inner;
  if (const int error = call.object_of(call.attr.inner_map_fd, &inner); error != 0) return error;
  spec->inner = inner->map;
  return 0;
}

// EINVAL, EBADF and what check_map_btf has, positive.
int read_btf(Call& call, MapSpec* spec, std::shared_ptr<BtfObject>* btf) {
  const auto& attr = call.attr;
  if (attr.btf_value_type_id == 0) return 0;
  if (const int error = call.object_of(attr.btf_fd, btf); error != 0) return -error;
  spec->btf_key_type_id = attr.btf_key_type_id;
  spec->btf_value_type_id = attr.btf_value_type_id;
  return check_map_btf(*spec, BtfTypes((*btf)->blob), &spec->spin_lock_offset);
}

MapSpec spec_of(const Call& call) {
  const auto& attr = call.attr;
  MapSpec spec;
  spec.type = attr.map_type;
  spec.key_size = attr.key_size;
  spec.value_size = attr.value_size;
  spec.max_entries = attr.max_entries;
  // The one-way flags belong to the descriptor, not to the map.
  spec.flags = attr.map_flags & ~kOneWay;
  spec.slots = is_per_cpu(attr.map_type) ? call.state.map_slots : 1;
  spec.extra = attr.map_extra;
  spec.grace = call.options.grace;
  return spec;
}

}  // namespace

long map_create(Call& call) {
  const auto& attr = call.attr;
  if (const int error = check_fields(attr); error != 0)
    return refuse(call, {error, "bad fields of MAP_CREATE"});
  MapSpec spec = spec_of(call);
  const bool named = read_name(attr.map_name, &spec.name);
  if (const int error = read_inner(call, &spec); error != 0) {
    return refuse(call, {-error, "inner_map_fd is no such map"});
  }
  auto object = std::make_shared<MapObject>();
  const int btf_error = read_btf(call, &spec, &object->btf);
  // What is wrong with the shape is told before what is wrong with name and BTF.
  if (call.objects.pins().is_open()) spec.store = call.objects.pins().store().new_map_store();
  auto map = Map::create(spec);
  if (!map) return refuse(call, std::move(map.error()));
  if (attr.map_ifindex != 0) return refuse(call, {EOPNOTSUPP, "map_ifindex: no device holds maps"});
  if (!named) return refuse(call, {EINVAL, "bad map_name"});
  if (btf_error != 0) return refuse(call, {btf_error, "BTF of key or value does not fit the map"});
  object->map = std::move(*map);
  object->uid = call.caller.uid;
  call.objects.add(object);
  return call.objects.open(
      {object, (attr.map_flags & BPF_F_WRONLY) == 0, (attr.map_flags & BPF_F_RDONLY) == 0});
}

}  // namespace sluice::bpf::surface
