#include "bpf/isa/disasm.hpp"

#include <array>
#include <cstdio>

#include "bpf/isa/opcode_new.hpp"

namespace sluice::bpf {
namespace {

template <class... Values>
std::string text(const char* format, Values... values) {
  char buffer[128];
  std::snprintf(buffer, sizeof buffer, format, values...);
  return buffer;
}

constexpr std::array<const char*, 16> kAlu{"+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=",
                                           "neg", "%=", "^=", "=", "s>>=", "endian", "?", "?"};
constexpr std::array<const char*, 16> kJump{"jmp", "==", ">", ">=", "&", "!=", "s>", "s>=",
                                            "call", "exit", "<", "<=", "s<", "s<=", "?", "?"};

#define SLUICE_NAME(name) #name
constexpr std::array kHelperNames{__BPF_FUNC_MAPPER(SLUICE_NAME)};
#undef SLUICE_NAME

const char* type_name(const Insn& insn, bool is_signed = false) {
  switch (access_size(insn)) {
    case 1: return is_signed ? "s8" : "u8";
    case 2: return is_signed ? "s16" : "u16";
    case 4: return is_signed ? "s32" : "u32";
    default: return "u64";
  }
}

std::string alu_text(const Insn& insn) {
  const bool wide = insn_class(insn) == BPF_ALU64;
  const char r = wide ? 'r' : 'w';
  const uint8_t op = alu_op(insn);
  if (op == BPF_NEG) return text("%c%d = -%c%d", r, insn.dst_reg, r, insn.dst_reg);
  if (op == BPF_END) {
    const char* kind = wide ? "bswap" : uses_register(insn) ? "be" : "le";
    return text("r%d = %s%d r%d", insn.dst_reg, kind, insn.imm, insn.dst_reg);
  }
  const bool is_signed = (op == BPF_DIV || op == BPF_MOD) && insn.off == 1;
  const char* sign = is_signed ? "s" : "";
  if (op == BPF_MOV && uses_register(insn) && insn.off != 0) {
    return text("%c%d = (s%d)%c%d", r, insn.dst_reg, insn.off, r, insn.src_reg);
  }
  if (uses_register(insn)) {
    return text("%c%d %s%s %c%d", r, insn.dst_reg, sign, kAlu[op >> 4], r, insn.src_reg);
  }
  return text("%c%d %s%s %d", r, insn.dst_reg, sign, kAlu[op >> 4], insn.imm);
}

std::string jump_text(const Insn& insn) {
  if (is_exit(insn)) return "exit";
  if (is_local_call(insn)) return text("call pc%+d", insn.imm);
  if (is_call(insn)) {
    const auto id = static_cast<uint32_t>(insn.imm);
    if (insn.src_reg != 0 || id >= kHelperNames.size()) return text("call unknown#%d", insn.imm);
    return text("call bpf_%s#%d", helper_name(id), insn.imm);
  }
  if (insn.code == kJmp32Ja) return text("gotol pc%+d", insn.imm);
  if (is_goto(insn)) return text("goto pc%+d", insn.off);
  const char r = insn_class(insn) == BPF_JMP32 ? 'w' : 'r';
  const char* op = kJump[alu_op(insn) >> 4];
  if (uses_register(insn)) {
    return text("if %c%d %s %c%d goto pc%+d", r, insn.dst_reg, op, r, insn.src_reg, insn.off);
  }
  return text("if %c%d %s 0x%x goto pc%+d", r, insn.dst_reg, op, static_cast<uint32_t>(insn.imm),
              insn.off);
}

std::string load_text(const Insn* insn) {
  if (is_load_imm64(*insn)) {
    const uint64_t value =
        static_cast<uint32_t>(insn[0].imm) | uint64_t{static_cast<uint32_t>(insn[1].imm)} << 32;
    if (insn->src_reg == BPF_PSEUDO_MAP_FD) return text("r%d = map[%d]", insn->dst_reg, insn->imm);
    if (insn->src_reg == BPF_PSEUDO_MAP_VALUE) {
      return text("r%d = map[%d][0]+%u", insn->dst_reg, insn->imm,
                  static_cast<uint32_t>(insn[1].imm));
    }
    return text("r%d = 0x%llx", insn->dst_reg, static_cast<unsigned long long>(value));
  }
  if (insn_mode(*insn) == BPF_ABS) return text("r0 = *(%s *)skb[%d]", type_name(*insn), insn->imm);
  if (insn_mode(*insn) == BPF_IND) {
    return text("r0 = *(%s *)skb[r%d + %d]", type_name(*insn), insn->src_reg, insn->imm);
  }
  return text("BUG_ld_%02x", insn->code);
}

std::string atomic_text(const Insn& insn) {
  const char* type = type_name(insn);
  const char* width = access_size(insn) == 8 ? "64" : "";
  const int dst = insn.dst_reg;
  const int src = insn.src_reg;
  const int off = insn.off;
  switch (insn.imm) {
    case BPF_ADD:
    case BPF_AND:
    case BPF_OR:
    case BPF_XOR:
      return text("lock *(%s *)(r%d %+d) %s r%d", type, dst, off, kAlu[insn.imm >> 4], src);
    case kLoadAcquire: return text("r%d = load_acquire((%s *)(r%d %+d))", dst, type, src, off);
    case kStoreRelease: return text("store_release((%s *)(r%d %+d), r%d)", type, dst, off, src);
    case BPF_CMPXCHG:
      return text("r0 = atomic%s_cmpxchg((%s *)(r%d %+d), r0, r%d)", width, type, dst, off, src);
    case BPF_XCHG:
      return text("r%d = atomic%s_xchg((%s *)(r%d %+d), r%d)", src, width, type, dst, off, src);
    default: break;
  }
  const int op = insn.imm & ~BPF_FETCH;
  const char* name = op == BPF_ADD ? "add" : op == BPF_AND ? "and" : op == BPF_OR ? "or" : "xor";
  return text("r%d = atomic%s_fetch_%s((%s *)(r%d %+d), r%d)", src, width, name, type, dst, off,
              src);
}

bool has_atomic_name(const Insn& insn) {
  switch (insn.imm) {
    case kLoadAcquire:
    case kStoreRelease:
    case BPF_XCHG:
    case BPF_CMPXCHG: return true;
    default: break;
  }
  const int op = insn.imm & ~BPF_FETCH;
  return op == BPF_ADD || op == BPF_AND || op == BPF_OR || op == BPF_XOR;
}

std::string memory_text(const Insn& insn) {
  switch (insn_class(insn)) {
    case BPF_LDX:
      return text("r%d = *(%s *)(r%d %+d)", insn.dst_reg,
                  type_name(insn, insn_mode(insn) == kModeMemSx), insn.src_reg, insn.off);
    case BPF_ST:
      return text("*(%s *)(r%d %+d) = %d", type_name(insn), insn.dst_reg, insn.off, insn.imm);
    default:
      if (is_atomic(insn)) return atomic_text(insn);
      return text("*(%s *)(r%d %+d) = r%d", type_name(insn), insn.dst_reg, insn.off, insn.src_reg);
  }
}

}  // namespace

const char* helper_name(uint32_t id) {
  return id < kHelperNames.size() ? kHelperNames[id] : "unspec";
}

std::string disassemble(const Insn* insn) {
  if (is_atomic(*insn) && !has_atomic_name(*insn)) return text("BUG_%02x", insn->code);
  const std::string code = text("(%02x) ", insn->code);
  if (is_alu(*insn)) return code + alu_text(*insn);
  if (is_jump(*insn)) return code + jump_text(*insn);
  if (insn_class(*insn) == BPF_LD) return code + load_text(insn);
  return code + memory_text(*insn);
}

}  // namespace sluice::bpf
