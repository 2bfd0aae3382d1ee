#include "bpf/progs/btf_types.hpp"

namespace sluice::bpf {
namespace {

// longer ones than a sound blob can have: a circle in one that is not
constexpr uint32_t kChainMax = 256;

}  // namespace

int64_t btf_extra_words(uint32_t kind, uint32_t vlen) {
  switch (kind) {
    case BTF_KIND_INT:
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG: return 1;
    case BTF_KIND_ARRAY: return 3;
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
    case BTF_KIND_DATASEC:
    case BTF_KIND_ENUM64: return int64_t{3} * vlen;
    case BTF_KIND_ENUM:
    case BTF_KIND_FUNC_PROTO: return int64_t{2} * vlen;
    case BTF_KIND_PTR:
    case BTF_KIND_FWD:
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_CONST:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_FUNC:
    case BTF_KIND_FLOAT:
    case BTF_KIND_TYPE_TAG: return 0;
    default: return -1;
  }
}

BtfTypes::BtfTypes(std::span<const uint8_t> blob) {
  btf_header header;
  if (blob.size() < sizeof header) return;
  std::memcpy(&header, blob.data(), sizeof header);
  if (header.hdr_len > blob.size()) return;
  const auto body = blob.subspan(header.hdr_len);
  if (header.type_off > body.size() || header.type_len > body.size() - header.type_off) return;
  if (header.str_off > body.size() || header.str_len > body.size() - header.str_off) return;
  types_ = body.subspan(header.type_off, header.type_len);
  strings_ = body.subspan(header.str_off, header.str_len);
  size_t at = 0;
  while (types_.size() - at >= sizeof(btf_type)) {
    btf_type type;
    std::memcpy(&type, types_.data() + at, sizeof type);
    const int64_t extra = btf_extra_words(BTF_INFO_KIND(type.info), BTF_INFO_VLEN(type.info)) * 4;
    if (extra < 0 || static_cast<size_t>(extra) > types_.size() - at - sizeof type) return;
    starts_.push_back(static_cast<uint32_t>(at));
    at += sizeof type + static_cast<size_t>(extra);
  }
  whole_ = at == types_.size();
}

btf_type BtfTypes::type(uint32_t id) const {
  btf_type type{};
  if (id != 0 && id <= count()) std::memcpy(&type, types_.data() + starts_[id - 1], sizeof type);
  return type;
}

uint32_t BtfTypes::word(uint32_t id, uint32_t index) const {
  uint32_t word = 0;
  if (id == 0 || id > count()) return word;
  const size_t at = starts_[id - 1] + sizeof(btf_type) + size_t{4} * index;
  if (at + sizeof word <= types_.size()) std::memcpy(&word, types_.data() + at, sizeof word);
  return word;
}

BtfMember BtfTypes::member(uint32_t id, uint32_t index) const {
  const uint32_t offset = word(id, 3 * index + 2);
  const bool bit_fields = BTF_INFO_KFLAG(type(id).info) != 0;
  return {word(id, 3 * index), word(id, 3 * index + 1),
          bit_fields ? BTF_MEMBER_BIT_OFFSET(offset) : offset,
          bit_fields ? BTF_MEMBER_BITFIELD_SIZE(offset) : 0};
}

std::string_view BtfTypes::string(uint32_t offset) const {
  if (!has_string(offset)) return {};
  const std::string_view rest(reinterpret_cast<const char*>(strings_.data()) + offset,
                              strings_.size() - offset);
  return rest.substr(0, rest.find('\0'));
}

uint32_t BtfTypes::skip_modifiers(uint32_t id) const {
  for (uint32_t step = 0; step < kChainMax; step++) {
    const btf_type at = type(id);
    const uint32_t kind = BTF_INFO_KIND(at.info);
    if (id == 0 || !(is_modifier(kind) || kind == BTF_KIND_VAR)) return id;
    id = at.type;
  }
  return 0;
}

std::optional<uint32_t> BtfTypes::size_of(uint32_t id) const {
  uint64_t factor = 1;
  for (uint32_t step = 0; step < kChainMax; step++) {
    id = skip_modifiers(id);
    const btf_type at = type(id);
    switch (BTF_INFO_KIND(at.info)) {
      case BTF_KIND_INT:
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION:
      case BTF_KIND_ENUM:
      case BTF_KIND_ENUM64:
      case BTF_KIND_DATASEC:
      case BTF_KIND_FLOAT: factor *= at.size; break;
      case BTF_KIND_PTR: factor *= 8; break;
      case BTF_KIND_ARRAY:
        factor *= word(id, 2);
        if (factor > UINT32_MAX) return std::nullopt;
        id = word(id, 0);
        continue;
      default: return std::nullopt;
    }
    if (factor > UINT32_MAX) return std::nullopt;
    return static_cast<uint32_t>(factor);
  }
  return std::nullopt;
}

}  // namespace sluice::bpf
