#include "bpf/verifier/subprogram_info.hpp"

#include <algorithm>

namespace sluice::bpf {
namespace {

constexpr uint32_t kMaxDepth = 32;
constexpr uint32_t kMaxArguments = 5;

bool is_number(uint32_t kind) {
  return kind == BTF_KIND_INT || kind == BTF_KIND_ENUM || kind == BTF_KIND_ENUM64;
}

bool has_tag(const BtfTypes& types, uint32_t function, uint32_t argument, std::string_view tag) {
  for (uint32_t id = 1; id <= types.count(); id++) {
    if (types.kind(id) != BTF_KIND_DECL_TAG || types.type(id).type != function) continue;
    if (types.word(id, 0) == argument && types.name(id) == tag) return true;
  }
  return false;
}

// The context by its structure's name, also behind a typedef.
bool is_ctx(const BtfTypes& types, uint32_t id, std::span<const std::string_view> ctx_names) {
  for (uint32_t depth = 0; id != 0 && depth < kMaxDepth; depth++) {
    const std::string_view called = types.name(id);
    if (!called.empty() && std::ranges::find(ctx_names, called) != ctx_names.end()) return true;
    const uint32_t kind = types.kind(id);
    if (kind != BTF_KIND_TYPEDEF && kind != BTF_KIND_CONST && kind != BTF_KIND_VOLATILE)
      return false;
    id = types.type(id).type;
  }
  return false;
}

GlobalArgument argument_info(const BtfTypes& types, uint32_t function, uint32_t index,
                             uint32_t type, std::span<const std::string_view> ctx_names,
                             std::string* fault) {
  const std::string text = "arg#" + std::to_string(index);
  const uint32_t plain = types.skip_modifiers(type);
  if (is_number(types.kind(plain))) return {};
  if (types.kind(plain) != BTF_KIND_PTR) {
    *fault = text + " type is not supported";
    return {};
  }
  const uint32_t to = types.type(plain).type;
  if (has_tag(types, function, index, "arg:ctx") || is_ctx(types, to, ctx_names))
    return {GlobalArgument::Kind::ctx};
  const uint32_t size = types.size_of(to).value_or(0);
  if (size == 0 || size > INT32_MAX) {
    *fault = text + " reference type has no size";
    return {};
  }
  return {GlobalArgument::Kind::memory, size, has_tag(types, function, index, "arg:nonnull")};
}

}  // namespace

SubprogramInfo subprogram_info(const BtfTypes& types, uint32_t id,
                               std::span<const std::string_view> ctx_names) {
  SubprogramInfo info;
  info.name = types.name(id);
  info.global = types.vlen(id) == BTF_FUNC_GLOBAL;
  const uint32_t prototype = types.type(id).type;
  if (types.kind(prototype) != BTF_KIND_FUNC_PROTO) {
    info.fault = "Invalid type of function " + info.name + "()";
    return info;
  }
  info.returns_number = is_number(types.kind(types.skip_modifiers(types.type(prototype).type)));
  if (!info.global) return info;
  if (!info.returns_number) {
    info.fault =
        "Global function " + info.name + "() doesn't return scalar. Only those are supported.";
    return info;
  }
  const uint32_t count = types.vlen(prototype);
  if (count > kMaxArguments) {
    info.fault = "Global function " + info.name + "() with " + std::to_string(count) +
                 " > 5 args. Buggy compiler.";
    return info;
  }
  for (uint32_t i = 0; i < count && info.fault.empty(); i++) {
    info.arguments.push_back(
        argument_info(types, id, i, types.word(prototype, 2 * i + 1), ctx_names, &info.fault));
  }
  return info;
}

}  // namespace sluice::bpf
