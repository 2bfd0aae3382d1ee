// Short names for instructions in tests. Any engine's tests may use them.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "bpf/isa/insn.hpp"
#include "bpf/isa/opcode_new.hpp"

namespace sluice::bpf::build {

using Code = std::vector<Insn>;

inline uint8_t code(int value) { return static_cast<uint8_t>(value); }
inline Insn alu(int op, uint8_t dst, int32_t imm, int16_t off = 0) {
  return {code(BPF_ALU64 | op | BPF_K), dst, 0, off, imm};
}
inline Insn alu32(int op, uint8_t dst, int32_t imm, int16_t off = 0) {
  return {code(BPF_ALU | op | BPF_K), dst, 0, off, imm};
}
inline Insn alu_reg(int op, uint8_t dst, uint8_t src, int16_t off = 0) {
  return {code(BPF_ALU64 | op | BPF_X), dst, src, off, 0};
}
inline Insn alu32_reg(int op, uint8_t dst, uint8_t src, int16_t off = 0) {
  return {code(BPF_ALU | op | BPF_X), dst, src, off, 0};
}
inline Insn mov(uint8_t dst, int32_t imm) { return alu(BPF_MOV, dst, imm); }
inline Insn mov_reg(uint8_t dst, uint8_t src) { return alu_reg(BPF_MOV, dst, src); }
inline Insn endian(int kind, uint8_t dst, int32_t bits) {
  return {code(BPF_ALU | BPF_END | kind), dst, 0, 0, bits};
}
inline Insn swap(uint8_t dst, int32_t bits) { return {code(BPF_ALU64 | BPF_END), dst, 0, 0, bits}; }
inline Insn load(int size, uint8_t dst, uint8_t src, int16_t off) {
  return {code(BPF_LDX | BPF_MEM | size), dst, src, off, 0};
}
inline Insn load_signed(int size, uint8_t dst, uint8_t src, int16_t off) {
  return {code(BPF_LDX | kModeMemSx | size), dst, src, off, 0};
}
inline Insn store(int size, uint8_t dst, int16_t off, uint8_t src) {
  return {code(BPF_STX | BPF_MEM | size), dst, src, off, 0};
}
inline Insn store_imm(int size, uint8_t dst, int16_t off, int32_t imm) {
  return {code(BPF_ST | BPF_MEM | size), dst, 0, off, imm};
}
inline Insn atomic(int size, int32_t op, uint8_t dst, int16_t off, uint8_t src) {
  return {code(BPF_STX | BPF_ATOMIC | size), dst, src, off, op};
}
inline Insn jump(int op, uint8_t dst, int32_t imm, int16_t off) {
  return {code(BPF_JMP | op | BPF_K), dst, 0, off, imm};
}
inline Insn jump32(int op, uint8_t dst, int32_t imm, int16_t off) {
  return {code(BPF_JMP32 | op | BPF_K), dst, 0, off, imm};
}
inline Insn jump_reg(int op, uint8_t dst, uint8_t src, int16_t off) {
  return {code(BPF_JMP | op | BPF_X), dst, src, off, 0};
}
inline Insn jump32_reg(int op, uint8_t dst, uint8_t src, int16_t off) {
  return {code(BPF_JMP32 | op | BPF_X), dst, src, off, 0};
}
inline Insn go(int16_t off) { return {code(BPF_JMP | BPF_JA), 0, 0, off, 0}; }
inline Insn go_long(int32_t off) { return {kJmp32Ja, 0, 0, 0, off}; }
inline Insn call(int32_t helper) { return {code(BPF_JMP | BPF_CALL), 0, 0, 0, helper}; }
inline Insn call_local(int32_t off) {
  return {code(BPF_JMP | BPF_CALL), 0, BPF_PSEUDO_CALL, 0, off};
}
inline Insn exit() { return {code(BPF_JMP | BPF_EXIT), 0, 0, 0, 0}; }
inline Insn load_abs(int size, int32_t offset) {
  return {code(BPF_LD | BPF_ABS | size), 0, 0, 0, offset};
}
inline Insn load_ind(int size, uint8_t src, int32_t offset) {
  return {code(BPF_LD | BPF_IND | size), 0, src, 0, offset};
}

inline Code imm64(uint8_t dst, uint64_t value, uint8_t kind = 0) {
  return {{code(BPF_LD | BPF_IMM | BPF_DW), dst, kind, 0, static_cast<int32_t>(value)},
          {0, 0, 0, 0, static_cast<int32_t>(value >> 32)}};
}
inline Code map_fd(uint8_t dst, uint32_t map) { return imm64(dst, map, BPF_PSEUDO_MAP_FD); }
inline Code map_value(uint8_t dst, uint32_t map, uint32_t offset = 0) {
  return imm64(dst, map | uint64_t{offset} << 32, BPF_PSEUDO_MAP_VALUE);
}

inline Code& operator<<(Code& code, const Insn& insn) {
  code.push_back(insn);
  return code;
}
inline Code& operator<<(Code& code, const Code& more) {
  for (const Insn& insn : more) code.push_back(insn);
  return code;
}
template <class More>
Code operator<<(Code&& code, const More& more) {
  code << more;
  return std::move(code);
}

}  // namespace sluice::bpf::build
