#include "bpf/isa/opcode.hpp"

#include <array>
#include <cstdio>

#include "bpf/isa/opcode_new.hpp"

namespace sluice::bpf {
namespace {

using Fault = std::optional<std::string>;

template <class... Values>
std::string text(const char* format, Values... values) {
  char buffer[96];
  std::snprintf(buffer, sizeof buffer, format, values...);
  return buffer;
}

Fault end_fault(const Insn& insn) {
  const bool width = insn.imm == 16 || insn.imm == 32 || insn.imm == 64;
  if (insn.src_reg != 0 || insn.off != 0 || !width) return "BPF_END uses reserved fields";
  return {};
}

Fault mov_fault(const Insn& insn) {
  const bool sign_extends =
      insn.off == 8 || insn.off == 16 || (insn.off == 32 && insn_class(insn) == BPF_ALU64);
  const bool bad = uses_register(insn) ? insn.imm != 0 || (insn.off != 0 && !sign_extends)
                                       : insn.src_reg != 0 || insn.off != 0;
  if (bad) return "BPF_MOV uses reserved fields";
  return {};
}

Fault alu_fault(const Insn& insn) {
  const uint8_t op = alu_op(insn);
  if (op == BPF_END) return end_fault(insn);
  if (op == BPF_MOV) return mov_fault(insn);
  if (op == BPF_NEG) {
    const bool bad = uses_register(insn) || insn.src_reg != 0 || insn.off != 0 || insn.imm != 0;
    if (bad) return "BPF_NEG uses reserved fields";
    return {};
  }
  const bool divides = op == BPF_DIV || op == BPF_MOD;
  const bool bad_off = insn.off != 0 && !(insn.off == 1 && divides);  // 1: signed division
  const bool bad = uses_register(insn) ? insn.imm != 0 : insn.src_reg != 0;
  if (bad || bad_off) return "BPF_ALU uses reserved fields";
  if (uses_register(insn)) return {};
  if (divides && insn.imm == 0) return "div by zero";
  const int bits = insn_class(insn) == BPF_ALU64 ? 64 : 32;
  const bool shifts = op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH;
  if (shifts && (insn.imm < 0 || insn.imm >= bits)) return text("invalid shift %d", insn.imm);
  return {};
}

Fault goto_fault(const Insn& insn) {
  const bool wide = insn_class(insn) == BPF_JMP32;
  const bool bad = insn.src_reg != 0 || insn.dst_reg != 0 || (wide ? insn.off != 0 : insn.imm != 0);
  if (bad) return "BPF_JA uses reserved fields";
  return {};
}

Fault jump_fault(const Insn& insn) {
  const uint8_t op = alu_op(insn);
  if (op == BPF_JA) return goto_fault(insn);
  if (op == BPF_CALL) {
    const bool bad = insn.off != 0 || insn.dst_reg != 0 || insn.src_reg > 2;
    if (bad) return "BPF_CALL uses reserved fields";
    if (insn.src_reg == BPF_PSEUDO_KFUNC_CALL)
      return text("kernel btf_id %d is not a function", insn.imm);
    return {};
  }
  if (op == BPF_EXIT) {
    const bool bad = insn.imm != 0 || insn.src_reg != 0 || insn.dst_reg != 0 || insn.off != 0;
    if (bad) return "BPF_EXIT uses reserved fields";
    return {};
  }
  const bool bad = uses_register(insn) ? insn.imm != 0 : insn.src_reg != 0;
  if (bad) return "BPF_JMP/JMP32 uses reserved fields";
  return {};
}

bool has_second_slot(std::span<const Insn> insns, uint32_t index) {
  if (index + 1 >= insns.size()) return false;
  const Insn& second = insns[index + 1];
  return second.code == 0 && second.dst_reg == 0 && second.src_reg == 0 && second.off == 0;
}

Fault load_imm64_fault(std::span<const Insn> insns, uint32_t index) {
  const Insn& insn = insns[index];
  if (!has_second_slot(insns, index)) return "invalid bpf_ld_imm64 insn";
  if (insn.src_reg > BPF_PSEUDO_MAP_IDX_VALUE) return "unrecognized bpf_ld_imm64 insn";
  if (insn.off != 0) return "BPF_LD_IMM64 uses reserved fields";
  return {};
}

Fault load_fault(std::span<const Insn> insns, uint32_t index) {
  const Insn& insn = insns[index];
  if (is_load_imm64(insn)) return load_imm64_fault(insns, index);
  const bool bad =
      insn.dst_reg != 0 || insn.off != 0 || (insn_mode(insn) == BPF_ABS && insn.src_reg != 0);
  if (bad) return "BPF_LD_[ABS|IND] uses reserved fields";
  return {};
}

Fault atomic_fault(const Insn& insn) {
  if (is_load_acquire(insn) || is_store_release(insn)) return {};
  const bool size_ok = BPF_SIZE(insn.code) == BPF_W || BPF_SIZE(insn.code) == BPF_DW;
  switch (insn.imm) {
    case BPF_ADD:
    case BPF_AND:
    case BPF_OR:
    case BPF_XOR:
    case BPF_ADD | BPF_FETCH:
    case BPF_AND | BPF_FETCH:
    case BPF_OR | BPF_FETCH:
    case BPF_XOR | BPF_FETCH:
    case BPF_XCHG:
    case BPF_CMPXCHG:
      if (size_ok) return {};
      return "invalid atomic operand size";
    default: return text("BPF_ATOMIC uses invalid atomic opcode %02x", insn.imm);
  }
}

Fault memory_fault(const Insn& insn) {
  switch (insn_class(insn)) {
    case BPF_LDX:
      if (insn.imm != 0) return "BPF_LDX uses reserved fields";
      return {};
    case BPF_ST:
      if (insn.src_reg != 0) return "BPF_ST uses reserved fields";
      return {};
    default:
      if (insn_mode(insn) == BPF_ATOMIC) return atomic_fault(insn);
      if (insn.imm != 0) return "BPF_STX uses reserved fields";
      return {};
  }
}

bool is_known_alu(const Insn& insn) {
  if (alu_op(insn) > BPF_END) return false;
  // bswap has no source bit; a negation takes none.
  if (alu_op(insn) == BPF_END) return insn_class(insn) == BPF_ALU || !uses_register(insn);
  return alu_op(insn) != BPF_NEG || !uses_register(insn);
}

bool is_known_jump(const Insn& insn) {
  const uint8_t op = alu_op(insn);
  if (op == BPF_JA) return !uses_register(insn);
  if (op == BPF_CALL || op == BPF_EXIT) return insn_class(insn) == BPF_JMP && !uses_register(insn);
  return op <= BPF_JSLE;
}

bool is_known_memory(const Insn& insn) {
  if (insn_mode(insn) == BPF_MEM) return true;
  switch (insn_class(insn)) {
    case BPF_LDX: return insn_mode(insn) == kModeMemSx && BPF_SIZE(insn.code) != BPF_DW;
    case BPF_STX: return insn_mode(insn) == BPF_ATOMIC;
    default: return false;
  }
}

bool is_known(const Insn& insn) {
  switch (insn_class(insn)) {
    case BPF_ALU:
    case BPF_ALU64: return is_known_alu(insn);
    case BPF_JMP:
    case BPF_JMP32: return is_known_jump(insn);
    case BPF_LD:
      return is_load_imm64(insn) || (is_packet_load(insn) && BPF_SIZE(insn.code) != BPF_DW);
    default: return is_known_memory(insn);
  }
}

}  // namespace

std::optional<std::string> insn_fault(std::span<const Insn> insns, uint32_t index) {
  const Insn& insn = insns[index];
  if (!is_known(insn)) return text("unknown opcode %02x", insn.code);
  if (insn.dst_reg >= kRegisters) return text("R%d is invalid", insn.dst_reg);
  if (insn.src_reg >= kRegisters) return text("R%d is invalid", insn.src_reg);
  switch (insn_class(insn)) {
    case BPF_ALU:
    case BPF_ALU64: return alu_fault(insn);
    case BPF_JMP:
    case BPF_JMP32: return jump_fault(insn);
    case BPF_LD: return load_fault(insns, index);
    default: return memory_fault(insn);
  }
}

bool is_fault_of_dead_code(std::span<const Insn> insns, uint32_t index) {
  const Insn& insn = insns[index];
  if (!is_known(insn)) return true;
  if (insn_class(insn) == BPF_LDX) return insn.imm != 0;
  return is_load_imm64(insn) &&
         (!has_second_slot(insns, index) || insn.src_reg > BPF_PSEUDO_MAP_IDX_VALUE);
}

}  // namespace sluice::bpf
