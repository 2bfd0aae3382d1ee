// libFuzzer target: any bytes as classic BPF. What converts is well-formed eBPF.
#include <cstring>
#include <vector>

#include "bpf/isa/classic.hpp"
#include "bpf/isa/disasm.hpp"
#include "bpf/isa/opcode.hpp"

using namespace sluice::bpf;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<ClassicInsn> classic(size / sizeof(ClassicInsn));
  if (!classic.empty()) std::memcpy(classic.data(), data, classic.size() * sizeof(ClassicInsn));
  const auto program = convert_classic(classic);
  if (!program) return 0;
  for (uint32_t i = 0; i < program->size(); i++) {
    if (insn_fault(*program, i)) __builtin_trap();
    if (disassemble(&(*program)[i]).empty()) __builtin_trap();
  }
  return 0;
}
