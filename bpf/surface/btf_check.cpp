#include "bpf/surface/btf_check.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>

namespace sluice::bpf::surface {
namespace {

constexpr int kNotSupported = 524;
constexpr uint32_t kInfoBits = 0x9f00ffff;  // of struct btf_type's info: flag, kind, vlen
constexpr uint32_t kTypeMax = 0xfffff;      // Linux: BTF_MAX_TYPE
constexpr size_t kNameMax = 512;            // Linux: KSYM_NAME_LEN

BtfFault bad(std::string reason, int error = EINVAL) { return {error, std::move(reason)}; }

// As the kernel's character tables, which are Latin-1's.
bool is_letter(unsigned char c) {
  return std::isalpha(c) != 0 || (c >= 0xc0 && c != 0xd7 && c != 0xf7);
}
bool is_print(unsigned char c) { return (c >= 0x20 && c < 0x7f) || c >= 0xa0; }

bool is_identifier(std::string_view name) {
  if (name.empty() || name.size() >= kNameMax ||
      std::isdigit(static_cast<unsigned char>(name[0])) != 0)
    return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '.';
  });
}
bool is_section_name(std::string_view name) {
  return !name.empty() && name.size() < kNameMax &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) { return is_print(c); });
}

enum class Name : uint8_t { any, none, maybe, identifier, section, text };

struct Shape {
  uint32_t kind;
  Name name;
  bool vlen;
  bool flag;
};

// What a record's common part may have, by kind.
constexpr Shape kShapes[] = {
    {BTF_KIND_INT, Name::any, false, false},
    {BTF_KIND_PTR, Name::none, false, false},
    {BTF_KIND_ARRAY, Name::none, false, false},
    {BTF_KIND_STRUCT, Name::maybe, true, true},
    {BTF_KIND_UNION, Name::maybe, true, true},
    {BTF_KIND_ENUM, Name::maybe, true, true},
    {BTF_KIND_FWD, Name::identifier, false, true},
    {BTF_KIND_TYPEDEF, Name::identifier, false, false},
    {BTF_KIND_VOLATILE, Name::none, false, false},
    {BTF_KIND_CONST, Name::none, false, false},
    {BTF_KIND_RESTRICT, Name::none, false, false},
    {BTF_KIND_FUNC, Name::identifier, true, false},
    {BTF_KIND_FUNC_PROTO, Name::none, true, false},
    {BTF_KIND_VAR, Name::identifier, false, false},
    {BTF_KIND_DATASEC, Name::section, true, false},
    {BTF_KIND_FLOAT, Name::any, false, false},
    {BTF_KIND_DECL_TAG, Name::text, false, true},
    {BTF_KIND_TYPE_TAG, Name::text, false, true},
    {BTF_KIND_ENUM64, Name::maybe, true, true},
};

bool fits(Name rule, uint32_t offset, std::string_view name) {
  switch (rule) {
    case Name::any: return true;
    case Name::none: return offset == 0;
    case Name::maybe: return offset == 0 || is_identifier(name);
    case Name::identifier: return is_identifier(name);
    case Name::section: return is_section_name(name);
    case Name::text: return !name.empty();
  }
  return false;
}

BtfFault check_int(const BtfTypes& types, uint32_t id, const btf_type& type) {
  const uint32_t data = types.word(id, 0);
  const uint32_t bits = BTF_INT_BITS(data) + BTF_INT_OFFSET(data);
  const uint32_t encoding = BTF_INT_ENCODING(data);
  if ((data & ~0x0fff00ffu) != 0) return bad("Invalid int_data");
  if (bits > 128) return bad("nr_bits exceeds 128");
  if ((bits + 7) / 8 > type.size) return bad("nr_bits exceeds type_size");
  if (encoding > BTF_INT_BOOL || (encoding & (encoding - 1)) != 0)
    return bad("Unsupported encoding", kNotSupported);
  return {};
}

BtfFault check_members(const BtfTypes& types, uint32_t id, const btf_type& type) {
  uint32_t last = 0;
  for (uint32_t i = 0; i < BTF_INFO_VLEN(type.info); i++) {
    const BtfMember member = types.member(id, i);
    if (!types.has_string(member.name)) return bad("Invalid member name_offset");
    if (member.name != 0 && !is_identifier(types.string(member.name)))
      return bad("Invalid member name");
    if (member.type == 0 || member.type > kTypeMax) return bad("Invalid member type_id");
    if (BTF_INFO_KIND(type.info) == BTF_KIND_UNION && member.bit_offset != 0)
      return bad("Invalid member bits_offset");
    if (member.bit_offset < last) return bad("Invalid member bits_offset");
    if ((uint64_t{member.bit_offset} + 7) / 8 > type.size)
      return bad("Member bits_offset exceeds its struct size");
    last = member.bit_offset;
  }
  return {};
}

BtfFault check_enum(const BtfTypes& types, uint32_t id, const btf_type& type) {
  if (type.size == 0 || type.size > 8 || (type.size & (type.size - 1)) != 0)
    return bad("Unexpected size");
  const uint32_t words = BTF_INFO_KIND(type.info) == BTF_KIND_ENUM ? 2 : 3;
  for (uint32_t i = 0; i < BTF_INFO_VLEN(type.info); i++) {
    const uint32_t name = types.word(id, words * i);
    if (!types.has_string(name) || !is_identifier(types.string(name))) return bad("Invalid name");
  }
  return {};
}

BtfFault check_section(const BtfTypes& types, uint32_t id, const btf_type& type) {
  if (type.size == 0) return bad("size == 0");
  uint64_t end = 0;
  for (uint32_t i = 0; i < BTF_INFO_VLEN(type.info); i++) {
    const uint32_t variable = types.word(id, 3 * i);
    const uint32_t offset = types.word(id, 3 * i + 1);
    const uint32_t size = types.word(id, 3 * i + 2);
    if (variable == 0 || variable > kTypeMax) return bad("Invalid type_id");
    if (offset < end || offset >= type.size) return bad("Invalid offset");
    if (size == 0 || size > type.size) return bad("Invalid size");
    end = uint64_t{offset} + size;
    if (end > type.size) return bad("Invalid offset+size");
  }
  return {};
}

BtfFault check_details(const BtfTypes& types, uint32_t id, const btf_type& type) {
  const uint32_t vlen = BTF_INFO_VLEN(type.info);
  switch (BTF_INFO_KIND(type.info)) {
    case BTF_KIND_INT: return check_int(types, id, type);
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION: return check_members(types, id, type);
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64: return check_enum(types, id, type);
    case BTF_KIND_DATASEC: return check_section(types, id, type);
    case BTF_KIND_ARRAY:
      if (type.size != 0) return bad("size != 0");
      for (const uint32_t index : {0u, 1u}) {
        if (types.word(id, index) == 0 || types.word(id, index) > kTypeMax)
          return bad("Invalid elem or index");
      }
      return {};
    case BTF_KIND_FWD: return type.type == 0 ? BtfFault{} : bad("type != 0");
    case BTF_KIND_FUNC: return vlen <= BTF_FUNC_GLOBAL ? BtfFault{} : bad("Invalid func linkage");
    case BTF_KIND_VAR:
      if (type.type == 0 || type.type > kTypeMax) return bad("Invalid type_id");
      return types.word(id, 0) <= BTF_VAR_GLOBAL_ALLOCATED ? BtfFault{}
                                                           : bad("Linkage not supported");
    case BTF_KIND_FLOAT: {
      constexpr uint32_t kSizes[] = {2, 4, 8, 12, 16};
      const bool good =
          std::find(std::begin(kSizes), std::end(kSizes), type.size) != std::end(kSizes);
      return good ? BtfFault{} : bad("Invalid type_size");
    }
    case BTF_KIND_DECL_TAG:
      return static_cast<int32_t>(types.word(id, 0)) >= -1 ? BtfFault{}
                                                           : bad("Invalid component_idx");
    case BTF_KIND_FUNC_PROTO: return {};
    default: return type.type <= kTypeMax ? BtfFault{} : bad("Invalid type_id");
  }
}

BtfFault check_record(const BtfTypes& types, uint32_t id) {
  const btf_type type = types.type(id);
  if ((type.info & ~kInfoBits) != 0) return bad("Invalid btf_info");
  if (!types.has_string(type.name_off)) return bad("Invalid name_offset");
  const auto* shape =
      std::find_if(std::begin(kShapes), std::end(kShapes),
                   [&type](const Shape& row) { return row.kind == BTF_INFO_KIND(type.info); });
  if (shape == std::end(kShapes)) return bad("Invalid kind");
  if (!shape->vlen && BTF_INFO_VLEN(type.info) != 0) return bad("vlen != 0");
  if (!shape->flag && BTF_INFO_KFLAG(type.info) != 0) return bad("Invalid btf_info kind_flag");
  if (!fits(shape->name, type.name_off, types.name(id))) return bad("Invalid name");
  return check_details(types, id, type);
}

}  // namespace

BtfFault check_btf_sections(std::span<const uint8_t> blob) {
  constexpr size_t kLengthEnd = offsetof(btf_header, hdr_len) + sizeof(btf_header{}.hdr_len);
  if (blob.size() < kLengthEnd) return bad("hdr_len not found");
  btf_header header{};
  std::memcpy(&header, blob.data(), kLengthEnd);
  if (header.hdr_len > blob.size()) return bad("btf_header not found");
  const size_t known = std::min<size_t>(header.hdr_len, sizeof header);
  for (size_t at = sizeof header; at < header.hdr_len; at++) {
    if (blob[at] != 0) return bad("Unsupported btf_header", E2BIG);
  }
  std::memcpy(&header, blob.data(), known);
  if (header.magic != BTF_MAGIC) return bad("Invalid magic");
  if (header.version != BTF_VERSION) return bad("Unsupported version", kNotSupported);
  if (header.flags != 0) return bad("Unsupported flags", kNotSupported);
  if (header.hdr_len < sizeof header) return bad("btf_header too short");
  if (blob.size() == header.hdr_len) return bad("No data");
  // Two sections, in either order, that fill the rest without gap or overlap; the strings come
  // last.
  const size_t rest = blob.size() - header.hdr_len;
  if (uint64_t{header.type_off} + header.type_len != header.str_off || header.type_off != 0) {
    return bad("Invalid sections");
  }
  if (uint64_t{header.str_off} + header.str_len != rest)
    return bad("String section is not at the end");
  const auto strings = blob.subspan(size_t{header.hdr_len} + header.str_off, header.str_len);
  if (strings.empty() || strings.front() != 0 || strings.back() != 0)
    return bad("Invalid string section");
  if (header.type_len == 0) return bad("No type found");
  return {};
}

BtfFault check_btf_records(const BtfTypes& types) {
  for (uint32_t id = 1; id <= types.count(); id++) {
    if (id > kTypeMax) return bad("Exceeded max num of types", E2BIG);
    BtfFault fault = check_record(types, id);
    if (fault.error == 0) continue;
    fault.reason = "[" + std::to_string(id) + "] " + fault.reason;
    return fault;
  }
  return types.whole()
             ? BtfFault{}
             : bad("[" + std::to_string(types.count() + 1) + "] Invalid kind or meta_left");
}

BtfFault check_btf(std::span<const uint8_t> blob) {
  if (BtfFault fault = check_btf_sections(blob); fault.error != 0) return fault;
  const BtfTypes types(blob);
  if (BtfFault fault = check_btf_records(types); fault.error != 0) return fault;
  return check_btf_references(types);
}

}  // namespace sluice::bpf::surface
