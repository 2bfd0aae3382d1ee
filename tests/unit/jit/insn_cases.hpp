// Instruction conformance, as data for both engines (RFC 9669). A case is a program body that
// leaves its answer in R0 and falls off the end; the runner adds the ending, which stores R0's 64
// bits to map 0 and returns 1. On entry R6 is ctx. The packet is kPacket. Map 0: array of one
// 64-byte value (the answer at 0, free from 8). Map 1: hash, 8-byte key, 16-byte value, empty. Map
// 2: per-CPU array of 4 values of 8 bytes.
#pragma once

#include <string>
#include <vector>

#include "tests/unit/jit/insn_build.hpp"

namespace sluice::bpf {

struct InsnCase {
  std::string name;
  std::vector<Insn> body;
  uint64_t answer = 0;
  bool ends_early = false;  // with 0, as a packet load out of range does
};

inline constexpr uint8_t kPacket[64] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x11, 0x12, 0x13, 0x14,
                                        0x15, 0x16, 0x08, 0x00, 0x45, 0x80, 0x90, 0xa0, 0xb0, 0xc0,
                                        0xd0, 0xe0, 0xf0, 0x01, 0x23, 0x45, 0x67, 0x89};

std::vector<InsnCase> arithmetic_cases();
std::vector<InsnCase> jump_cases();
std::vector<InsnCase> memory_cases();
std::vector<InsnCase> call_cases();

}  // namespace sluice::bpf
