// BTF strings for messages. Private to bpf/surface.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::bpf::surface {

// A string of a checked blob; empty where the offset points at none.
[[nodiscard]] std::string_view btf_string(std::span<const uint8_t> blob, uint32_t offset);

}  // namespace sluice::bpf::surface
