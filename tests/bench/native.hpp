// The three programs as C++ over the same packets, compiled with the benchmark: what a hand-written filter costs.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "tests/bench/peers.hpp"

namespace sluice::bench {

inline uint32_t native_be16(const uint8_t* at) { return static_cast<uint32_t>(at[0] << 8 | at[1]); }

// `tcp port 80` over IPv4 and IPv6.
inline bool native_tcp_port_80(const uint8_t* data, uint32_t length) {
  if (length < 54) return false;
  const uint32_t type = native_be16(data + 12);
  if (type == 0x86dd) {
    if (length < 58 || data[20] != 6) return false;
    return native_be16(data + 54) == 80 || native_be16(data + 56) == 80;
  }
  if (type != 0x0800 || data[23] != 6 || (native_be16(data + 20) & 0x1fff) != 0) return false;
  const uint32_t at = 14 + (data[14] & 15u) * 4;
  if (at + 4 > length) return false;
  return native_be16(data + at) == 80 || native_be16(data + at + 2) == 80;
}

}  // namespace sluice::bench
