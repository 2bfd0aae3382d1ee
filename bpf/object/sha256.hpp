// SHA-256 (FIPS 180-4), for program tags. Not on any hot path. No state; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace sluice::bpf {

[[nodiscard]] std::array<uint8_t, 32> sha256(std::span<const uint8_t> message);

}  // namespace sluice::bpf
