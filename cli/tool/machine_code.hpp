// Machine code of this host as text, by LLVM. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sluice::cli {

struct MachineInsn {
  uint64_t offset = 0;  // bytes from the start of the code
  std::vector<uint8_t> bytes;
  std::string text;  // "movq\t%rsp, %rbp"
};

// Bytes that are no instruction come one by one, as ".byte".
[[nodiscard]] std::vector<MachineInsn> disassemble_machine_code(std::span<const uint8_t> code);

}  // namespace sluice::cli
