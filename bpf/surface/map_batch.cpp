// The four batch commands. What was copied counts, whatever is returned: `count` says how much that
// is.
#include <algorithm>

#include "bpf/surface/map_access.hpp"

namespace sluice::bpf::surface {
namespace {

// of our memory at a time; Linux copies element by element
constexpr uint64_t kCopyMax = 64u << 20;

long finish(Call& call, uint32_t count, long result) {
  call.attr.batch.count = count;
  call.write_back(call.attr.batch.count);
  return result;
}

// Flags, and how many elements one call handles at most. 0: none were asked for.
int check(const Call& call, const MapObject& map, uint32_t* count) {
  const auto& batch = call.attr.batch;
  if ((batch.elem_flags & ~uint64_t{BPF_F_LOCK}) != 0 || !lock_allowed(map, batch.elem_flags))
    return -EINVAL;
  const uint64_t element = uint64_t{map.map->spec().key_size} + map.map->user_value_size();
  *count = static_cast<uint32_t>(
      std::min<uint64_t>(batch.count, std::max<uint64_t>(1, kCopyMax / element)));
  return 0;
}

bool may_look_up_with_flags(uint32_t type) {
  return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
         type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_LPM_TRIE;
}

long look_up(Call& call, bool and_erase) {
  const auto& attr = call.attr.batch;
  std::shared_ptr<MapObject> object;
  if (const int error = map_for(call, attr.map_fd, {.read = true, .write = and_erase}, &object);
      error != 0) {
    return error;
  }
  Map& map = *object->map;
  const BatchSupport support = batch_support(map.spec().type);
  if (!(and_erase ? support.lookup_and_erase : support.lookup)) return -int{kEnotsupp};
  Batch batch;
  if (const int error = check(call, *object, &batch.count); error != 0) return error;
  if (attr.flags != 0 && !may_look_up_with_flags(map.spec().type)) return -EINVAL;
  if (batch.count == 0) return 0;
  Bytes in;
  Bytes out(map.batch_token_size());
  Bytes keys(size_t{batch.count} * map.spec().key_size);
  Bytes values(size_t{batch.count} * map.user_value_size());
  if (attr.in_batch != 0 && call.copy_in(attr.in_batch, out.size(), &in) != 0)
    return finish(call, 0, -EFAULT);
  // An erasing batch must not run into a bad address: what it took would be lost.
  if (and_erase && (call.copy_out(attr.out_batch, out.data(), out.size()) != 0 ||
                    call.copy_out(attr.keys, keys.data(), keys.size()) != 0 ||
                    call.copy_out(attr.values, values.data(), values.size()) != 0)) {
    return finish(call, 0, -EFAULT);
  }
  batch.in = in.empty() ? nullptr : in.data();
  batch.out = out.data();
  batch.keys = keys.data();
  batch.values = values.data();
  batch.element_flags = attr.elem_flags;
  const int result = map.lookup_batch(batch, and_erase);
  if (result == -EINVAL) return result;
  const bool token_wanted = batch.count != 0 || result == 0 || result == -ENOSPC;
  if (call.copy_out(attr.keys, keys.data(), size_t{batch.count} * map.spec().key_size) != 0 ||
      call.copy_out(attr.values, values.data(), size_t{batch.count} * map.user_value_size()) != 0 ||
      (token_wanted && call.copy_out(attr.out_batch, out.data(), out.size()) != 0)) {
    return finish(call, 0, -EFAULT);
  }
  return finish(call, batch.count, result);
}

}  // namespace

long map_lookup_batch(Call& call) { return look_up(call, false); }
long map_lookup_and_delete_batch(Call& call) { return look_up(call, true); }

long map_update_batch(Call& call) {
  const auto& attr = call.attr.batch;
  std::shared_ptr<MapObject> object;
  if (const int error = map_for(call, attr.map_fd, {.write = true}, &object); error != 0)
    return error;
  Map& map = *object->map;
  if (!batch_support(map.spec().type).update) return -int{kEnotsupp};
  uint32_t count = 0;
  if (const int error = check(call, *object, &count); error != 0) return error;
  if (count == 0) return 0;
  Bytes keys;
  Bytes values;
  if (call.copy_in(attr.keys, size_t{count} * map.spec().key_size, &keys) != 0 ||
      call.copy_in(attr.values, size_t{count} * map.user_value_size(), &values) != 0) {
    return finish(call, 0, -EFAULT);
  }
  for (uint32_t i = 0; i < count; i++) {
    const int error = update_element(call, *object, &keys[size_t{i} * map.spec().key_size],
                                     &values[size_t{i} * map.user_value_size()], attr.elem_flags);
    if (error != 0) return finish(call, i, error);
  }
  return finish(call, count, 0);
}

long map_delete_batch(Call& call) {
  const auto& attr = call.attr.batch;
  std::shared_ptr<MapObject> object;
  if (const int error = map_for(call, attr.map_fd, {.write = true}, &object); error != 0)
    return error;
  Map& map = *object->map;
  if (!batch_support(map.spec().type).erase) return -int{kEnotsupp};
  uint32_t count = 0;
  if (const int error = check(call, *object, &count); error != 0) return error;
  if (count == 0) return 0;
  Bytes keys;
  if (call.copy_in(attr.keys, size_t{count} * map.spec().key_size, &keys) != 0)
    return finish(call, 0, -EFAULT);
  for (uint32_t i = 0; i < count; i++) {
    const int error = map.erase(&keys[size_t{i} * map.spec().key_size]);
    if (error != 0) return finish(call, i, error);
  }
  return finish(call, count, 0);
}

}  // namespace sluice::bpf::surface
