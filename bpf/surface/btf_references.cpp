// Types as they refer to each other. A walk in depth, as deep as Linux goes; where it may stop (a
// structure behind a pointer, a pointer inside a structure) decides what counts as a type that
// contains itself.
#include <algorithm>
#include <cctype>
#include <cerrno>

#include "bpf/surface/btf_check.hpp"
#include "bpf/surface/map_btf.hpp"

namespace sluice::bpf::surface {
namespace {

constexpr uint32_t kDepthMax = 32;  // Linux: MAX_RESOLVE_DEPTH

// What the walk started from: it does not look behind a structure when it came through a pointer,
// nor behind a pointer when it came through a structure.
enum class Mode : uint8_t { start, pointer, aggregate };
enum class Visit : uint8_t { no, now, done };

bool is_aggregate(uint32_t kind) { return is_struct(kind) || kind == BTF_KIND_ARRAY; }
bool has_references(uint32_t kind) {
  return is_modifier(kind) || is_aggregate(kind) || kind == BTF_KIND_PTR || kind == BTF_KIND_VAR ||
         kind == BTF_KIND_FUNC || kind == BTF_KIND_DECL_TAG || kind == BTF_KIND_DATASEC;
}
// Kinds that nothing may refer to but what is made for them.
bool is_source_only(uint32_t kind) {
  return kind == BTF_KIND_VAR || kind == BTF_KIND_DECL_TAG || kind == BTF_KIND_DATASEC;
}
bool is_sizeless(uint32_t kind) {
  return kind == BTF_KIND_UNKN || kind == BTF_KIND_FWD || kind == BTF_KIND_FUNC ||
         kind == BTF_KIND_FUNC_PROTO || kind == BTF_KIND_DECL_TAG;
}

class Walk {
 public:
  explicit Walk(const BtfTypes& types) : types_(types), visits_(types.count() + 1, Visit::no) {}

  int check(uint32_t id) {
    const uint32_t kind = types_.kind(id);
    if (has_references(kind) && visits_[id] == Visit::no) {
      if (const int error = resolve(id, Mode::start, 0); error != 0) return error;
    }
    if (kind == BTF_KIND_PTR && !tags_lead(types_.type(id).type)) return EINVAL;
    return kind == BTF_KIND_FUNC_PROTO ? check_prototype(id) : 0;
  }

 private:
  // Follows a reference unless the walk may stop there or has been there.
  int follow(uint32_t id, Mode mode, uint32_t depth) {
    const uint32_t kind = types_.kind(id);
    const bool stops = mode == Mode::start     ? !has_references(kind)
                       : mode == Mode::pointer ? !is_modifier(kind) && kind != BTF_KIND_PTR
                                               : !is_modifier(kind) && !is_aggregate(kind);
    if (id == 0 || stops || visits_[id] == Visit::done) return 0;
    return resolve(id, mode, depth + 1);
  }

  int resolve(uint32_t id, Mode mode, uint32_t depth) {
    if (depth == kDepthMax) return E2BIG;
    if (visits_[id] != Visit::no) return EEXIST;
    visits_[id] = Visit::now;
    const uint32_t kind = types_.kind(id);
    if (mode == Mode::start && kind == BTF_KIND_PTR) mode = Mode::pointer;
    if (mode == Mode::start && is_aggregate(kind)) mode = Mode::aggregate;
    const int error = resolve_kind(id, kind, mode, depth);
    visits_[id] = Visit::done;
    return error;
  }

  int resolve_kind(uint32_t id, uint32_t kind, Mode mode, uint32_t depth) {
    switch (kind) {
      case BTF_KIND_ARRAY: return resolve_array(id, mode, depth);
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION: return resolve_struct(id, mode, depth);
      case BTF_KIND_DATASEC: return resolve_section(id, mode, depth);
      case BTF_KIND_DECL_TAG: return resolve_tag(id, mode, depth);
      case BTF_KIND_FUNC: return resolve_function(id);
      default: break;
    }
    const uint32_t next = types_.type(id).type;
    if (!types_.known(next) || is_source_only(types_.kind(next))) return EINVAL;
    if (const int error = follow(next, mode, depth); error != 0) return error;
    if (kind == BTF_KIND_VAR) return types_.size_of(next) ? 0 : EINVAL;
    return points_at_something(next) ? 0 : EINVAL;
  }

  bool points_at_something(uint32_t id) const {
    if (visits_[id] == Visit::now) return true;  // a structure further up
    const uint32_t behind = types_.skip_modifiers(id);
    return types_.kind(behind) != BTF_KIND_FUNC || visits_[behind] == Visit::done;
  }

  int resolve_array(uint32_t id, Mode mode, uint32_t depth) {
    const uint32_t element = types_.word(id, 0);
    const uint32_t index = types_.word(id, 1);
    for (const uint32_t part : {index, element}) {
      if (!types_.known(part) || is_sizeless(types_.kind(part)) ||
          is_source_only(types_.kind(part)))
        return EINVAL;
      if (const int error = follow(part, mode, depth); error != 0) return error;
      const uint32_t behind = types_.skip_modifiers(part);
      const bool integer = types_.kind(behind) == BTF_KIND_INT;
      if ((part == index && !integer) || (integer && !is_regular(behind))) return EINVAL;
    }
    return types_.size_of(id) ? 0 : EINVAL;
  }

  // All of its bytes hold the number.
  bool is_regular(uint32_t id) const {
    const uint32_t data = types_.word(id, 0);
    const uint32_t bits = BTF_INT_BITS(data);
    const uint32_t bytes = bits / 8;
    return bits % 8 == 0 && BTF_INT_OFFSET(data) == 0 && bytes == types_.type(id).size &&
           bytes != 0 && (bytes & (bytes - 1)) == 0 && bytes <= 16;
  }

  int resolve_struct(uint32_t id, Mode mode, uint32_t depth) {
    const btf_type type = types_.type(id);
    for (uint32_t i = 0; i < BTF_INFO_VLEN(type.info); i++) {
      const BtfMember member = types_.member(id, i);
      if (!types_.known(member.type)) return EINVAL;
      const uint32_t kind = types_.kind(member.type);
      if (is_sizeless(kind) || is_source_only(kind)) return EINVAL;
      if (const int error = follow(member.type, mode, depth); error != 0) return error;
      if (!member_fits(member, type.size, BTF_INFO_KFLAG(type.info) != 0)) return EINVAL;
    }
    return 0;
  }

  bool member_fits(const BtfMember& member, uint32_t struct_size, bool bit_fields) const {
    const uint32_t type = types_.skip_modifiers(member.type);
    const uint32_t kind = types_.kind(type);
    const auto size = types_.size_of(type);
    if (!size) return false;
    uint64_t bits = uint64_t{*size} * 8;
    const bool number = kind == BTF_KIND_INT || kind == BTF_KIND_ENUM || kind == BTF_KIND_ENUM64;
    if (kind == BTF_KIND_INT) {
      const uint32_t data = types_.word(type, 0);
      if (bit_fields && !is_regular(type)) return false;
      bits = BTF_INT_BITS(data) + (bit_fields ? 0 : BTF_INT_OFFSET(data));
    }
    if (member.bits != 0) {
      if (!number || member.bits > bits) return false;
      bits = member.bits;
    } else if (member.bit_offset % 8 != 0 && (kind != BTF_KIND_INT || bit_fields)) {
      return false;
    }
    if (number && bits + member.bit_offset % 8 > 128) return false;
    if (kind == BTF_KIND_FLOAT &&
        member.bit_offset / 8 % std::min<uint32_t>(*size & -*size, 8) != 0)
      return false;
    return (member.bit_offset + bits + 7) / 8 <= struct_size;
  }

  int resolve_section(uint32_t id, Mode mode, uint32_t depth) {
    for (uint32_t i = 0; i < BTF_INFO_VLEN(types_.type(id).info); i++) {
      const uint32_t variable = types_.word(id, 3 * i);
      if (!types_.known(variable) || types_.kind(variable) != BTF_KIND_VAR) return EINVAL;
      if (const int error = follow(variable, mode, depth); error != 0) return error;
      const auto size = types_.size_of(variable);
      if (!size || types_.word(id, 3 * i + 2) < *size) return EINVAL;
    }
    return 0;
  }

  int resolve_function(uint32_t id) {
    const uint32_t prototype = types_.type(id).type;
    if (!types_.known(prototype) || types_.kind(prototype) != BTF_KIND_FUNC_PROTO) return EINVAL;
    for (uint32_t i = 0; i < BTF_INFO_VLEN(types_.type(prototype).info); i++) {
      if (types_.word(prototype, 2 * i) == 0 && types_.word(prototype, 2 * i + 1) != 0) {
        return EINVAL;  // without a name
      }
    }
    return 0;
  }

  int resolve_tag(uint32_t id, Mode mode, uint32_t depth) {
    const uint32_t target = types_.type(id).type;
    if (!types_.known(target)) return EINVAL;
    const uint32_t kind = types_.kind(target);
    const bool parts = is_struct(kind) || kind == BTF_KIND_FUNC;
    if (!parts && kind != BTF_KIND_VAR && kind != BTF_KIND_TYPEDEF) return EINVAL;
    if (const int error = follow(target, mode, depth); error != 0) return error;
    const auto component = static_cast<int32_t>(types_.word(id, 0));
    if (component == -1) return 0;
    const uint32_t owner = kind == BTF_KIND_FUNC ? types_.type(target).type : target;
    return parts && static_cast<uint32_t>(component) < BTF_INFO_VLEN(types_.type(owner).info)
               ? 0
               : EINVAL;
  }

  // A prototype's types with a size; the last parameter may be void, which stands for "...".
  int check_prototype(uint32_t id) {
    const btf_type type = types_.type(id);
    if (type.type != 0) {
      if (const int error = check_sized(type.type); error != 0) return error;
    }
    uint32_t count = BTF_INFO_VLEN(type.info);
    if (count > 0 && types_.word(id, 2 * count - 1) == 0) {
      if (types_.word(id, 2 * count - 2) != 0) return EINVAL;
      count--;
    }
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t name = types_.word(id, 2 * i);
      if (name != 0 && (!types_.has_string(name) || types_.string(name).empty())) return EINVAL;
      if (const int error = check_sized(types_.word(id, 2 * i + 1)); error != 0) return error;
    }
    return 0;
  }

  int check_sized(uint32_t id) {
    if (!types_.known(id) || is_source_only(types_.kind(id))) return EINVAL;
    if (has_references(types_.kind(id)) && visits_[id] == Visit::no) {
      if (const int error = resolve(id, Mode::start, 0); error != 0) return error;
    }
    return types_.size_of(id) ? 0 : EINVAL;
  }

  // Behind a pointer, type tags come before other modifiers.
  bool tags_lead(uint32_t id) const {
    bool leading = true;
    for (uint32_t kind = types_.kind(id); id != 0 && is_modifier(kind) && kind != BTF_KIND_TYPEDEF;
         id = types_.type(id).type, kind = types_.kind(id)) {
      if (kind == BTF_KIND_TYPE_TAG && !leading) return false;
      if (kind != BTF_KIND_TYPE_TAG) leading = false;
    }
    return true;
  }

  const BtfTypes& types_;
  std::vector<Visit> visits_;
};

}  // namespace

BtfFault check_btf_references(const BtfTypes& types) {
  Walk walk(types);
  for (uint32_t id = 1; id <= types.count(); id++) {
    if (const int error = walk.check(id); error != 0) {
      const char* reason = error == EEXIST  ? "Loop detected"
                           : error == E2BIG ? "Resolve depth exceeded"
                                            : "Invalid type_id";
      return {error, "[" + std::to_string(id) + "] " + reason};
    }
  }
  for (uint32_t id = 1; id <= types.count(); id++) {
    if (is_struct(types.kind(id)) && count_spin_locks(types, id) > 1) {
      return {E2BIG, "[" + std::to_string(id) + "] more than one bpf_spin_lock"};
    }
  }
  return {};
}

}  // namespace sluice::bpf::surface
