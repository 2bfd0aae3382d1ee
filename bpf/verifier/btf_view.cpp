#include "bpf/verifier/btf_view.hpp"

#include <algorithm>
#include <cstring>

namespace sluice::bpf {
namespace {

constexpr uint32_t kMaxDepth = 32;
constexpr uint32_t kMaxTypes = 1u << 20;
constexpr uint32_t kMaxArguments = 5;

uint32_t kind_of(const btf_type& type) { return BTF_INFO_KIND(type.info); }

// Bytes that follow a type of this kind; false: no such kind.
bool extra_size(const btf_type& type, size_t* size) {
  const size_t count = BTF_INFO_VLEN(type.info);
  switch (kind_of(type)) {
    case BTF_KIND_INT:
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG: *size = 4; return true;
    case BTF_KIND_ARRAY: *size = sizeof(btf_array); return true;
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION: *size = count * sizeof(btf_member); return true;
    case BTF_KIND_ENUM: *size = count * sizeof(btf_enum); return true;
    case BTF_KIND_ENUM64: *size = count * 12; return true;
    case BTF_KIND_FUNC_PROTO: *size = count * sizeof(btf_param); return true;
    case BTF_KIND_DATASEC: *size = count * sizeof(btf_var_secinfo); return true;
    case BTF_KIND_PTR:
    case BTF_KIND_FWD:
    case BTF_KIND_TYPEDEF:
    case BTF_KIND_VOLATILE:
    case BTF_KIND_CONST:
    case BTF_KIND_RESTRICT:
    case BTF_KIND_FUNC:
    case BTF_KIND_FLOAT:
    case BTF_KIND_TYPE_TAG: *size = 0; return true;
    default: return false;
  }
}

bool is_number(uint32_t kind) { return kind == BTF_KIND_INT || kind == BTF_KIND_ENUM || kind == BTF_KIND_ENUM64; }

}  // namespace

void BtfView::open(std::span<const uint8_t> blob) {
  types_.assign(1, Type{});
  strings_ = {};
  btf_header header{};
  if (blob.size() < sizeof header) return;
  std::memcpy(&header, blob.data(), sizeof header);
  if (header.hdr_len > blob.size()) return;
  const auto body = blob.subspan(header.hdr_len);
  if (header.type_off > body.size() || header.type_len > body.size() - header.type_off) return;
  if (header.str_off > body.size() || header.str_len > body.size() - header.str_off) return;
  strings_ = {reinterpret_cast<const char*>(body.data()) + header.str_off, header.str_len};
  auto rest = body.subspan(header.type_off, header.type_len);
  while (rest.size() >= sizeof(btf_type) && types_.size() < kMaxTypes) {
    const auto* type = reinterpret_cast<const btf_type*>(rest.data());
    size_t size = 0;
    if (!extra_size(*type, &size) || size > rest.size() - sizeof(btf_type)) return;
    types_.push_back({type, rest.subspan(sizeof(btf_type), size)});
    rest = rest.subspan(sizeof(btf_type) + size);
  }
}

std::string_view BtfView::name(uint32_t offset) const {
  if (offset >= strings_.size()) return {};
  const std::string_view rest = strings_.substr(offset);
  return rest.substr(0, rest.find('\0'));
}

const BtfView::Type* BtfView::at(uint32_t id) const {
  return id == 0 || id >= types_.size() ? nullptr : &types_[id];
}

const BtfView::Type* BtfView::plain(uint32_t id) const {
  for (uint32_t depth = 0; depth < kMaxDepth; depth++) {
    const Type* found = at(id);
    if (found == nullptr) return nullptr;
    switch (kind_of(*found->type)) {
      case BTF_KIND_TYPEDEF:
      case BTF_KIND_VOLATILE:
      case BTF_KIND_CONST:
      case BTF_KIND_RESTRICT:
      case BTF_KIND_TYPE_TAG: id = found->type->type; break;
      default: return found;
    }
  }
  return nullptr;
}

// 0: it has none.
uint32_t BtfView::size_of(uint32_t id, uint32_t depth) const {
  const Type* found = plain(id);
  if (found == nullptr || depth > kMaxDepth) return 0;
  switch (kind_of(*found->type)) {
    case BTF_KIND_INT:
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
    case BTF_KIND_FLOAT: return found->type->size;
    case BTF_KIND_PTR: return 8;
    case BTF_KIND_ARRAY: {
      btf_array array;
      std::memcpy(&array, found->extra.data(), sizeof array);
      const uint64_t size = uint64_t{array.nelems} * size_of(array.type, depth + 1);
      return size > INT32_MAX ? 0 : static_cast<uint32_t>(size);
    }
    default: return 0;
  }
}

bool BtfView::is_function(uint32_t id) const {
  const Type* found = at(id);
  return found != nullptr && kind_of(*found->type) == BTF_KIND_FUNC;
}

bool BtfView::has_tag(uint32_t function, int32_t argument, std::string_view tag) const {
  for (const Type& each : types_) {
    if (each.type == nullptr || kind_of(*each.type) != BTF_KIND_DECL_TAG || each.type->type != function) continue;
    int32_t component = 0;
    std::memcpy(&component, each.extra.data(), sizeof component);
    if (component == argument && name(each.type->name_off) == tag) return true;
  }
  return false;
}

GlobalArgument BtfView::argument(uint32_t function, int32_t index, uint32_t type,
                                 std::span<const std::string_view> ctx_names, std::string* fault) const {
  const std::string text = "arg#" + std::to_string(index);
  const Type* found = plain(type);
  if (found != nullptr && is_number(kind_of(*found->type))) return {};
  if (found == nullptr || kind_of(*found->type) != BTF_KIND_PTR) {
    *fault = text + " type is not supported";
    return {};
  }
  if (has_tag(function, index, "arg:ctx")) return {GlobalArgument::Kind::ctx};
  const uint32_t to = found->type->type;
  // The context by its structure's name, also behind a typedef.
  const Type* pointed = at(to);
  for (uint32_t depth = 0; pointed != nullptr && depth < kMaxDepth; depth++) {
    const std::string_view called = name(pointed->type->name_off);
    if (!called.empty() && std::ranges::find(ctx_names, called) != ctx_names.end()) return {GlobalArgument::Kind::ctx};
    const uint32_t kind = kind_of(*pointed->type);
    if (kind != BTF_KIND_TYPEDEF && kind != BTF_KIND_CONST && kind != BTF_KIND_VOLATILE) break;
    pointed = at(pointed->type->type);
  }
  GlobalArgument out{GlobalArgument::Kind::memory, size_of(to, 0), has_tag(function, index, "arg:nonnull")};
  if (out.size == 0) *fault = text + " reference type has no size";
  return out;
}

SubprogramInfo BtfView::subprogram(uint32_t id, std::span<const std::string_view> ctx_names) const {
  SubprogramInfo info;
  const Type* function = at(id);
  if (function == nullptr || kind_of(*function->type) != BTF_KIND_FUNC) return info;
  info.name = name(function->type->name_off);
  info.global = BTF_INFO_VLEN(function->type->info) == BTF_FUNC_GLOBAL;
  const Type* prototype = at(function->type->type);
  if (prototype == nullptr || kind_of(*prototype->type) != BTF_KIND_FUNC_PROTO) {
    info.fault = "Invalid type of function " + info.name + "()";
    return info;
  }
  const Type* returned = plain(prototype->type->type);
  info.returns_number = returned != nullptr && is_number(kind_of(*returned->type));
  if (!info.global) return info;
  if (!info.returns_number) {
    info.fault = "Global function " + info.name + "() doesn't return scalar. Only those are supported.";
    return info;
  }
  const uint32_t count = BTF_INFO_VLEN(prototype->type->info);
  if (count > kMaxArguments) {
    info.fault = "Global function " + info.name + "() with " + std::to_string(count) + " > 5 args. Buggy compiler.";
    return info;
  }
  for (uint32_t i = 0; i < count && info.fault.empty(); i++) {
    btf_param parameter;
    std::memcpy(&parameter, prototype->extra.data() + i * sizeof parameter, sizeof parameter);
    info.arguments.push_back(argument(id, static_cast<int32_t>(i), parameter.type, ctx_names, &info.fault));
  }
  return info;
}

}  // namespace sluice::bpf
