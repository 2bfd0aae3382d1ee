// BTF_LOAD, and reading BTF strings.
#include "bpf/surface/btf.hpp"

#include <linux/btf.h>

#include <cerrno>
#include <cstring>

#include "bpf/surface/call.hpp"

namespace sluice::bpf::surface {
namespace {

constexpr uint32_t kBtfMax = 16u << 20;  // Linux: BTF_MAX_SIZE

btf_header header_of(std::span<const uint8_t> blob) {
  btf_header header;
  std::memcpy(&header, blob.data(), sizeof header);
  return header;
}

// Bytes that follow a struct btf_type of this kind; -1: no such kind.
int64_t extra_bytes(uint32_t kind, uint32_t members) {
  switch (kind) {
    case BTF_KIND_INT: return 4;
    case BTF_KIND_ARRAY: return sizeof(btf_array);
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION: return int64_t{members} * sizeof(btf_member);
    case BTF_KIND_ENUM: return int64_t{members} * sizeof(btf_enum);
    case BTF_KIND_FUNC_PROTO: return int64_t{members} * sizeof(btf_param);
    case BTF_KIND_VAR: return sizeof(btf_var);
    case BTF_KIND_DATASEC: return int64_t{members} * sizeof(btf_var_secinfo);
    case BTF_KIND_DECL_TAG: return sizeof(btf_decl_tag);
    case BTF_KIND_ENUM64: return int64_t{members} * sizeof(btf_enum64);
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

bool types_fill(std::span<const uint8_t> types, uint32_t strings_length) {
  size_t at = 0;
  while (at < types.size()) {
    btf_type type;
    if (types.size() - at < sizeof type) return false;
    std::memcpy(&type, types.data() + at, sizeof type);
    const int64_t extra = extra_bytes(BTF_INFO_KIND(type.info), BTF_INFO_VLEN(type.info));
    at += sizeof type;
    if (extra < 0 || static_cast<size_t>(extra) > types.size() - at || type.name_off >= strings_length) return false;
    at += static_cast<size_t>(extra);
  }
  return true;
}

}  // namespace

int check_btf_blob(std::span<const uint8_t> blob) {
  if (blob.size() < sizeof(btf_header)) return EINVAL;
  const btf_header header = header_of(blob);
  if (header.magic != BTF_MAGIC) return EINVAL;
  if (header.version != BTF_VERSION || header.flags != 0) return EOPNOTSUPP;
  if (header.hdr_len < sizeof header || header.hdr_len > blob.size()) return EINVAL;
  const auto body = blob.subspan(header.hdr_len);
  const uint64_t types_end = uint64_t{header.type_off} + header.type_len;
  const uint64_t strings_end = uint64_t{header.str_off} + header.str_len;
  if (header.type_off % 4 != 0 || header.type_len == 0 || types_end > header.str_off) return EINVAL;
  if (header.str_len == 0 || strings_end != body.size()) return EINVAL;
  const auto strings = body.subspan(header.str_off, header.str_len);
  if (strings.front() != 0 || strings.back() != 0) return EINVAL;
  return types_fill(body.subspan(header.type_off, header.type_len), header.str_len) ? 0 : EINVAL;
}

std::string_view btf_string(std::span<const uint8_t> blob, uint32_t offset) {
  const btf_header header = header_of(blob);
  if (offset >= header.str_len) return {};
  return reinterpret_cast<const char*>(blob.data() + header.hdr_len + header.str_off + offset);
}

long btf_load(Call& call) {
  const auto& attr = call.attr;
  if (attr.btf_size > kBtfMax) return -E2BIG;
  auto btf = std::make_shared<BtfObject>();
  if (const int error = call.copy_in(attr.btf, attr.btf_size, &btf->blob); error != 0) return error;
  if (const int error = check_btf_blob(btf->blob); error != 0) return -error;
  btf->uid = call.caller.uid;
  call.objects.add(btf);
  return call.objects.open({btf});
}

}  // namespace sluice::bpf::surface
