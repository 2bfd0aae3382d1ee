// The eBPF instruction as the ABI has it (linux/bpf.h, RFC 9669) and what every reader of
// instructions asks of one. No state; any thread.
#pragma once

#include <linux/bpf.h>

#include <cstdint>

#include "bpf/isa/opcode_new.hpp"

namespace sluice::bpf {

using Insn = ::bpf_insn;
static_assert(sizeof(Insn) == 8);

inline constexpr uint32_t kRegisters = 11;  // R0 to R10
inline constexpr uint8_t kFrameRegister = BPF_REG_10;

inline constexpr uint8_t insn_class(const Insn& insn) { return BPF_CLASS(insn.code); }
inline constexpr uint8_t insn_mode(const Insn& insn) { return BPF_MODE(insn.code); }
inline constexpr uint8_t alu_op(const Insn& insn) { return BPF_OP(insn.code); }
inline constexpr bool uses_register(const Insn& insn) { return BPF_SRC(insn.code) == BPF_X; }

inline constexpr bool is_alu(const Insn& insn) {
  return insn_class(insn) == BPF_ALU || insn_class(insn) == BPF_ALU64;
}
inline constexpr bool is_jump(const Insn& insn) {
  return insn_class(insn) == BPF_JMP || insn_class(insn) == BPF_JMP32;
}
inline constexpr bool is_load_imm64(const Insn& insn) {
  return insn.code == (BPF_LD | BPF_IMM | BPF_DW);
}
inline constexpr bool is_exit(const Insn& insn) { return insn.code == (BPF_JMP | BPF_EXIT); }
inline constexpr bool is_call(const Insn& insn) { return insn.code == (BPF_JMP | BPF_CALL); }
inline constexpr bool is_helper_call(const Insn& insn) {
  return is_call(insn) && insn.src_reg == 0;
}
inline constexpr bool is_local_call(const Insn& insn) {
  return is_call(insn) && insn.src_reg == BPF_PSEUDO_CALL;
}
inline constexpr bool is_packet_load(const Insn& insn) {  // LD_ABS, LD_IND
  return insn_class(insn) == BPF_LD && (insn_mode(insn) == BPF_ABS || insn_mode(insn) == BPF_IND);
}
inline constexpr bool is_atomic(const Insn& insn) {
  return insn_class(insn) == BPF_STX && insn_mode(insn) == BPF_ATOMIC;
}
// BPF_LOAD_ACQ and BPF_STORE_REL: encoded as atomics of any size, but a load into dst_reg and a
// store of src_reg.
inline constexpr bool is_load_acquire(const Insn& insn) {
  return is_atomic(insn) && insn.imm == kLoadAcquire;
}
inline constexpr bool is_store_release(const Insn& insn) {
  return is_atomic(insn) && insn.imm == kStoreRelease;
}
// A jump that may or may not be taken; not JA, CALL, EXIT.
inline constexpr bool is_conditional_jump(const Insn& insn) {
  return is_jump(insn) && alu_op(insn) != BPF_JA && alu_op(insn) != BPF_CALL &&
         alu_op(insn) != BPF_EXIT;
}
// JA (16-bit offset) or its 32-bit form JA32 (gotol, offset in imm).
inline constexpr bool is_goto(const Insn& insn) { return is_jump(insn) && alu_op(insn) == BPF_JA; }

// Bytes moved by a load, store or atomic.
inline constexpr uint32_t access_size(const Insn& insn) {
  switch (BPF_SIZE(insn.code)) {
    case BPF_B: return 1;
    case BPF_H: return 2;
    case BPF_W: return 4;
    default: return 8;
  }
}
// Slots an instruction takes: 2 for the 64-bit immediate load.
inline constexpr uint32_t insn_length(const Insn& insn) { return is_load_imm64(insn) ? 2 : 1; }
// Index of the target of a jump or local call at `index`.
inline constexpr int64_t jump_target(const Insn& insn, int64_t index) {
  if (is_local_call(insn)) return index + 1 + insn.imm;
  if (insn.code == (BPF_JMP32 | BPF_JA)) return index + 1 + insn.imm;
  return index + 1 + insn.off;
}

}  // namespace sluice::bpf
