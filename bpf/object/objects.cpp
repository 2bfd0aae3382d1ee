#include "bpf/object/objects.hpp"

#include <algorithm>
#include <cstring>

#include "bpf/object/handle.hpp"
#include "bpf/object/sha256.hpp"

namespace sluice::bpf {

std::shared_ptr<Map> use_map(std::shared_ptr<MapObject> object) {
  object->users++;
  Map* map = object->map.get();
  return {map, [object = std::move(object)](Map*) {
            if (--object->users == 0) object->map->release_users();
          }};
}

std::shared_ptr<Map> use_object(const ObjectRef& object) {
  const auto* map = std::get_if<std::shared_ptr<MapObject>>(&object);
  return map == nullptr ? nullptr : use_map(*map);
}

std::vector<std::shared_ptr<MapObject>> ProgramObject::used_maps() const {
  std::lock_guard guard(lock_);
  return used_maps_;
}

bool ProgramObject::bind_map(std::shared_ptr<MapObject> map) {
  std::lock_guard guard(lock_);
  if (std::find(used_maps_.begin(), used_maps_.end(), map) != used_maps_.end()) return false;
  used_maps_.push_back(std::move(map));
  return true;
}

bool mappable_for_writing(const MapObject& map) {
  if ((map.map->spec().flags & BPF_F_RDONLY_PROG) != 0) return false;
  return !map.frozen.load() || is_sealed_for_writing(map.map->memory_file());
}

Tag program_tag(std::span<const Insn> insns) {
  std::vector<Insn> plain(insns.begin(), insns.end());
  for (size_t i = 0; i + 1 < plain.size(); i++) {
    const bool of_map =
        plain[i].src_reg == BPF_PSEUDO_MAP_FD || plain[i].src_reg == BPF_PSEUDO_MAP_VALUE;
    if (!is_load_imm64(plain[i])) continue;
    if (of_map) plain[i].imm = plain[i + 1].imm = 0;
    i++;
  }
  const auto* bytes = reinterpret_cast<const uint8_t*>(plain.data());
  const auto digest = sha256({bytes, plain.size() * sizeof(Insn)});
  Tag tag;
  std::copy_n(digest.begin(), tag.size(), tag.begin());
  return tag;
}

}  // namespace sluice::bpf
