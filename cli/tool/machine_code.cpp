#include "cli/tool/machine_code.hpp"

#include <llvm-c/Core.h>
#include <llvm-c/Disassembler.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>

#include <cstdio>

namespace sluice::cli {

std::vector<MachineInsn> disassemble_machine_code(std::span<const uint8_t> code) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86Disassembler();
  char* triple = LLVMGetDefaultTargetTriple();
  LLVMDisasmContextRef context = LLVMCreateDisasm(triple, nullptr, 0, nullptr, nullptr);
  LLVMDisposeMessage(triple);
  std::vector<MachineInsn> insns;
  if (context == nullptr) return insns;
  LLVMSetDisasmOptions(context, LLVMDisassembler_Option_PrintImmHex);
  for (size_t at = 0; at < code.size();) {
    char text[256];
    // LLVM does not write to the bytes, its interface only fails to say so.
    auto* bytes = const_cast<uint8_t*>(code.data() + at);
    size_t length = LLVMDisasmInstruction(context, bytes, code.size() - at, at, text, sizeof text);
    if (length == 0) {
      length = 1;
      std::snprintf(text, sizeof text, "\t.byte\t0x%02x", *bytes);
    }
    const char* first = text;
    while (*first == '\t' || *first == ' ') first++;
    insns.push_back({at, {bytes, bytes + length}, first});
    at += length;
  }
  LLVMDisasmDispose(context);
  return insns;
}

}  // namespace sluice::cli
