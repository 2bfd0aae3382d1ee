#include "cli/tool/btf_values.hpp"

#include <bpf/bpf.h>

#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "base/unique_fd.hpp"

namespace sluice::cli {
namespace {

constexpr int kMaxDepth = 64;  // of nested types; compilers stay far below

uint64_t load_bits(std::span<const uint8_t> bytes, size_t size) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data(), size);  // the host is little-endian, as x86-64 is
  return value;
}

int64_t sign_extended(uint64_t value, size_t size) {
  const int shift = static_cast<int>(64 - size * 8);
  return static_cast<int64_t>(value << shift) >> shift;
}

}  // namespace

Result<Btf> load_btf(uint32_t id) {
  const UniqueFd fd(::bpf_btf_get_fd_by_id(id));
  const std::string what = "btf id " + std::to_string(id);
  if (!fd) return fail(errno_error(errno, what));
  bpf_btf_info info;
  std::memset(&info, 0, sizeof info);
  uint32_t size = sizeof info;
  if (::bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return fail(errno_error(errno, what));
  std::string blob(info.btf_size, '\0');
  std::memset(&info, 0, sizeof info);
  info.btf = reinterpret_cast<uintptr_t>(blob.data());
  info.btf_size = static_cast<uint32_t>(blob.size());
  size = sizeof info;
  if (::bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return fail(errno_error(errno, what));
  Btf btf(::btf__new(blob.data(), static_cast<uint32_t>(blob.size())));
  if (btf == nullptr) return fail(errno_error(errno, what + ": not valid"));
  return btf;
}

const char* ValueWriter::name(uint32_t offset) const {
  const char* text = ::btf__name_by_offset(&btf_, offset);
  return text != nullptr ? text : "";
}

void ValueWriter::hexadecimal(unsigned __int128 value) {
  const auto high = static_cast<uint64_t>(value >> 64);
  const auto low = static_cast<uint64_t>(value);
  char text[40];
  if (high != 0) {
    std::snprintf(text, sizeof text, "0x%" PRIx64 "%016" PRIx64, high, low);
  } else {
    std::snprintf(text, sizeof text, "0x%" PRIx64, low);
  }
  if (json_) return out_.string(text);
  out_.raw(text);
}

void ValueWriter::integer(const btf_type& type, std::span<const uint8_t> bytes) {
  const uint32_t offset = ::btf_int_offset(&type);
  const uint32_t bits = ::btf_int_bits(&type);
  if (offset != 0 || bits != type.size * 8) return bit_field(bytes, offset, bits);
  if (type.size == 16) {
    unsigned __int128 value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    return hexadecimal(value);
  }
  if (type.size > 8) return out_.null();
  const uint64_t value = load_bits(bytes, type.size);
  const uint32_t encoding = ::btf_int_encoding(&type);
  if ((encoding & BTF_INT_BOOL) != 0) return out_.boolean(value != 0);
  if ((encoding & BTF_INT_SIGNED) != 0) return out_.signed_number(sign_extended(value, type.size));
  out_.number(value);
}

void ValueWriter::enumeration(const btf_type& type, std::span<const uint8_t> bytes) {
  if (type.size == 0 || type.size > 8) return out_.null();
  const uint64_t value = load_bits(bytes, type.size);
  const uint64_t mask = type.size == 8 ? UINT64_MAX : (uint64_t{1} << type.size * 8) - 1;
  for (uint32_t i = 0; i < ::btf_vlen(&type); i++) {
    const bool wide = ::btf_is_enum64(&type);
    const uint64_t member = wide ? ::btf_enum64_value(::btf_enum64(&type) + i)
                                 : static_cast<uint64_t>(int64_t{::btf_enum(&type)[i].val});
    if ((member & mask) != value) continue;
    return out_.string(
        name(wide ? ::btf_enum64(&type)[i].name_off : ::btf_enum(&type)[i].name_off));
  }
  out_.signed_number(sign_extended(value, type.size));
}

// `bits` bits from bit `offset` on, at most 128.
void ValueWriter::bit_field(std::span<const uint8_t> bytes, uint32_t offset, uint32_t bits) {
  if (bits > 128 || (uint64_t{offset} + bits + 7) / 8 > bytes.size()) return out_.null();
  unsigned __int128 value = 0;
  for (uint32_t i = 0; i < bits; i++) {
    const uint32_t bit = offset + i;
    if ((bytes[bit / 8] >> bit % 8 & 1) != 0) value |= static_cast<unsigned __int128>(1) << i;
  }
  hexadecimal(value);
}

void ValueWriter::composite(const btf_type& type, std::span<const uint8_t> bytes, int depth) {
  out_.begin_object();
  for (uint32_t i = 0; i < ::btf_vlen(&type); i++) {
    const btf_member& member = ::btf_members(&type)[i];
    const uint32_t offset = ::btf_member_bit_offset(&type, i);
    const uint32_t bits = ::btf_member_bitfield_size(&type, i);
    out_.key(name(member.name_off));
    if (bits != 0 || offset % 8 != 0) {
      bit_field(bytes, offset, bits);
    } else if (offset / 8 > bytes.size()) {
      out_.null();
    } else {
      value(member.type, bytes.subspan(offset / 8), depth + 1);
    }
  }
  out_.end_object();
}

// A char array that reads as text: printable up to a zero.
bool ValueWriter::text(const btf_type& element, std::span<const uint8_t> bytes) {
  if (!::btf_is_int(&element) || element.size != 1) return false;
  if ((::btf_int_encoding(&element) & (BTF_INT_SIGNED | BTF_INT_CHAR)) == 0) return false;
  const void* end = std::memchr(bytes.data(), 0, bytes.size());
  if (end == nullptr) return false;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              static_cast<size_t>(static_cast<const uint8_t*>(end) - bytes.data()));
  for (const char c : text) {
    if (c < 0x20 || c > 0x7e) return false;
  }
  out_.string(text);
  return true;
}

void ValueWriter::array(const btf_type& type, std::span<const uint8_t> bytes, int depth) {
  const auto& array = *::btf_array(&type);
  const int64_t size = ::btf__resolve_size(&btf_, array.type);
  if (size < 0 || uint64_t{array.nelems} * static_cast<uint64_t>(size) > bytes.size())
    return out_.null();
  const int element = ::btf__resolve_type(&btf_, array.type);
  if (element > 0 && array.nelems > 0 &&
      text(*::btf__type_by_id(&btf_, static_cast<uint32_t>(element)), bytes.first(array.nelems))) {
    return;
  }
  out_.begin_array();
  for (uint32_t i = 0; i < array.nelems && size > 0; i++) {
    value(array.type, bytes.subspan(i * static_cast<size_t>(size)), depth + 1);
  }
  out_.end_array();
}

void ValueWriter::section(const btf_type& type, std::span<const uint8_t> bytes, int depth) {
  out_.begin_object();
  out_.key(name(type.name_off));
  out_.begin_array();
  for (uint32_t i = 0; i < ::btf_vlen(&type); i++) {
    const btf_var_secinfo& variable = ::btf_var_secinfos(&type)[i];
    const btf_type* declared = ::btf__type_by_id(&btf_, variable.type);
    if (declared == nullptr || variable.offset > bytes.size()) continue;
    out_.begin_object();
    out_.key(name(declared->name_off));
    value(variable.type, bytes.subspan(variable.offset), depth + 1);
    out_.end_object();
  }
  out_.end_array();
  out_.end_object();
}

void ValueWriter::value(uint32_t type_id, std::span<const uint8_t> bytes, int depth) {
  const btf_type* type = ::btf__type_by_id(&btf_, type_id);
  while (type != nullptr && depth < kMaxDepth &&
         (::btf_is_mod(type) || ::btf_is_typedef(type) || ::btf_is_var(type))) {
    type = ::btf__type_by_id(&btf_, type->type);
    depth++;
  }
  if (type == nullptr || depth >= kMaxDepth) return out_.null();
  if (::btf_is_array(type)) return array(*type, bytes, depth);
  if (::btf_is_datasec(type)) return section(*type, bytes, depth);
  if (::btf_is_ptr(type)) {
    if (bytes.size() < sizeof(uint64_t)) return out_.null();
    const uint64_t address = load_bits(bytes, sizeof address);
    if (json_) return out_.number(address);
    return address == 0 ? out_.raw("(nil)") : hexadecimal(address);
  }
  if (type->size > bytes.size()) return out_.null();
  bytes = bytes.first(type->size);
  if (::btf_is_int(type)) return integer(*type, bytes);
  if (::btf_is_any_enum(type)) return enumeration(*type, bytes);
  if (::btf_is_composite(type)) return composite(*type, bytes, depth);
  if (::btf_is_float(type) && (type->size == 4 || type->size == 8)) {
    float single = 0;
    double number = 0;
    std::memcpy(type->size == 4 ? static_cast<void*>(&single) : &number, bytes.data(), type->size);
    if (type->size == 4) number = single;
    char digits[40];
    std::snprintf(digits, sizeof digits, "%.17g", number);
    return std::isfinite(number) || !json_ ? out_.raw(digits) : out_.string(digits);
  }
  out_.null();
}

namespace {

// A type in front of a name: "struct __sk_buff * ".
std::string type_text(const ::btf& btf, uint32_t id, int depth) {
  if (id == 0) return "void ";
  const btf_type* type = ::btf__type_by_id(&btf, id);
  if (type == nullptr || depth > kMaxDepth) return "? ";
  const char* name = ::btf__name_by_offset(&btf, type->name_off);
  const std::string own = name != nullptr && *name != 0 ? std::string(name) + " " : "";
  switch (::btf_kind(type)) {
    case BTF_KIND_PTR: return type_text(btf, type->type, depth + 1) + "* ";
    case BTF_KIND_STRUCT: return "struct " + own;
    case BTF_KIND_UNION: return "union " + own;
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64: return "enum " + own;
    case BTF_KIND_FWD: return (::btf_kflag(type) ? "union " : "struct ") + own;
    case BTF_KIND_CONST: return "const " + type_text(btf, type->type, depth + 1);
    case BTF_KIND_VOLATILE: return "volatile " + type_text(btf, type->type, depth + 1);
    case BTF_KIND_RESTRICT:
    case BTF_KIND_TYPE_TAG: return type_text(btf, type->type, depth + 1);
    default: return own.empty() ? "? " : own;
  }
}

}  // namespace

std::string function_text(const ::btf& btf, uint32_t func_id) {
  const btf_type* function = ::btf__type_by_id(&btf, func_id);
  if (function == nullptr || !::btf_is_func(function)) return "";
  const btf_type* prototype = ::btf__type_by_id(&btf, function->type);
  if (prototype == nullptr || !::btf_is_func_proto(prototype)) return "";
  std::string text =
      type_text(btf, prototype->type, 0) + ::btf__name_by_offset(&btf, function->name_off) + "(";
  for (uint32_t i = 0; i < ::btf_vlen(prototype); i++) {
    const btf_param& parameter = ::btf_params(prototype)[i];
    if (i > 0) text += ", ";
    if (parameter.type == 0 && parameter.name_off == 0) {
      text += "...";
      continue;
    }
    text += type_text(btf, parameter.type, 0);
    const char* name = ::btf__name_by_offset(&btf, parameter.name_off);
    if (name != nullptr) text += name;
  }
  return text + ")";
}

}  // namespace sluice::cli
