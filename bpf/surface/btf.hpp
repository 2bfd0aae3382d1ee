// BTF as far as the surface reads it: the header and the strings (Linux: Documentation/bpf/btf.rst). Private to
// bpf/surface.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::bpf::surface {

// Whether header, type section and string section are well-formed and lie inside: 0, EINVAL or EOPNOTSUPP.
[[nodiscard]] int check_btf_blob(std::span<const uint8_t> blob);

// A string of a checked blob; empty where the offset points at none.
[[nodiscard]] std::string_view btf_string(std::span<const uint8_t> blob, uint32_t offset);

}  // namespace sluice::bpf::surface
