// A ChainImage as bytes, so that another process of the same binary can compile it. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bpf/jit/image.hpp"

namespace sluice::bpf::jit {

std::vector<uint8_t> serialise(const ChainImage& image);
// EINVAL: not bytes of this binary's format, or cut short; every length and reference is checked
// (check_image). Never reads past `bytes`.
Result<ChainImage> deserialise(std::span<const uint8_t> bytes);

}  // namespace sluice::bpf::jit
