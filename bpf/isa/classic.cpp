#include "bpf/isa/classic.hpp"

#include <string>

namespace sluice::bpf {
namespace {

// Registers of the converted program.
constexpr uint8_t kA = BPF_REG_0;
constexpr uint8_t kX = BPF_REG_7;
constexpr uint8_t kCtx = BPF_REG_6;  // where LD_ABS and LD_IND expect it
constexpr uint8_t kSaved = BPF_REG_8;

constexpr uint32_t kMemoryWords = 16;
constexpr uint16_t kLen = 0x80;  // BPF_LEN
constexpr uint16_t kMsh = 0xa0;  // BPF_MSH
constexpr uint16_t kMemory = 0x60;
constexpr uint16_t kReturnA = 0x10;
constexpr uint16_t kTax = 0x00;
constexpr uint16_t kTxa = 0x80;
constexpr uint32_t kLargestOffset = 0x7fffffff;

class Converter {
 public:
  explicit Converter(std::span<const ClassicInsn> program) : program_(program) {}

  Result<std::vector<Insn>> run() {
    if (program_.empty()) return fail(EINVAL, "classic program: empty");
    emit(BPF_ALU64 | BPF_MOV | BPF_X, kCtx, BPF_REG_1, 0, 0);
    emit(BPF_ALU | BPF_MOV | BPF_K, kA, 0, 0, 0);
    emit(BPF_ALU | BPF_MOV | BPF_K, kX, 0, 0, 0);
    std::vector<bool> reached(program_.size());
    reached[0] = true;
    for (at_ = 0; at_ < program_.size(); at_++) {
      starts_.push_back(static_cast<uint32_t>(out_.size()));
      if (jumps_back(program_[at_])) {
        return fail(
            EINVAL,
            "classic program: instruction " + std::to_string(at_) +
                ": jumps back: a loop over headers (protochain) has no bound that can be proved");
      }
      if (!convert(program_[at_])) {
        return fail(EINVAL, "classic program: instruction " + std::to_string(at_) +
                                ": not valid (code " + std::to_string(program_[at_].code) + ")");
      }
      if (reached[at_]) {
        mark_next(reached);
      } else {
        drop();
      }
    }
    if (!ends()) return fail(EINVAL, "classic program: last instruction is not a return");
    return finish();
  }

 private:
  static constexpr uint32_t kFailTarget = UINT32_MAX;
  struct Fixup {
    uint32_t insn;    // in out_
    uint32_t target;  // classic index, or kFailTarget
  };

  void emit(int code, uint8_t dst, uint8_t src, int16_t off, uint32_t imm) {
    Insn insn{};
    insn.code = static_cast<uint8_t>(code);
    insn.dst_reg = dst & 0xf;
    insn.src_reg = src & 0xf;
    insn.off = off;
    insn.imm = static_cast<int32_t>(imm);
    out_.push_back(insn);
  }
  void emit_jump(int code, uint8_t dst, uint8_t src, uint32_t imm, uint32_t target) {
    fixups_.push_back({static_cast<uint32_t>(out_.size()), target});
    emit(code, dst, src, 0, imm);
  }
  void emit_fail() { emit_jump(BPF_JMP | BPF_JA, 0, 0, 0, kFailTarget); }
  static bool jumps_back(const ClassicInsn& insn) {
    return insn.code == (BPF_JMP | BPF_JA) && static_cast<int32_t>(insn.k) < 0;
  }
  // Where the instruction just converted goes: jumps lead forward alone.
  void mark_next(std::vector<bool>& reached) const {
    for (size_t i = fixups_.size(); i > 0 && fixups_[i - 1].insn >= starts_[at_]; i--) {
      if (fixups_[i - 1].target != kFailTarget) reached[fixups_[i - 1].target] = true;
    }
    const uint8_t last = out_.back().code;
    const bool stops = last == (BPF_JMP | BPF_JA) || last == (BPF_JMP | BPF_EXIT);
    if (!stops && at_ + 1 < program_.size()) reached[at_ + 1] = true;
  }
  // Behind a load that always fails, say. The verifier refuses code that nothing reaches.
  void drop() {
    out_.resize(starts_[at_]);
    while (!fixups_.empty() && fixups_.back().insn >= starts_[at_]) fixups_.pop_back();
  }
  bool ends() const { return BPF_CLASS(program_.back().code) == BPF_RET; }

  bool convert(const ClassicInsn& insn) {
    switch (BPF_CLASS(insn.code)) {
      case BPF_LD: return load_a(insn);
      case BPF_LDX: return load_x(insn);
      case BPF_ST: return store(insn, kA);
      case BPF_STX: return store(insn, kX);
      case BPF_ALU: return alu(insn);
      case BPF_JMP: return jump(insn);
      case BPF_RET: return ret(insn);
      default: return misc(insn);
    }
  }

  // Packet loads of a fixed offset. Offsets that are negative as LD_ABS sees them are out of range
  // here.
  bool load_a(const ClassicInsn& insn) {
    const uint8_t size = BPF_SIZE(insn.code);
    switch (BPF_MODE(insn.code)) {
      case BPF_IMM: emit(BPF_ALU | BPF_MOV | BPF_K, kA, 0, 0, insn.k); return size == BPF_W;
      case kLen: emit(BPF_LDX | BPF_MEM | BPF_W, kA, kCtx, 0, 0); return size == BPF_W;
      case kMemory: return size == BPF_W && memory(insn, kA);
      case BPF_ABS:
        if (insn.k > kLargestOffset) {
          emit_fail();
        } else {
          emit(BPF_LD | BPF_ABS | size, 0, 0, 0, insn.k);
        }
        return size != BPF_DW;
      case BPF_IND:
        if (insn.k > kLargestOffset) {
          emit_fail();
        } else {
          // X + k must not wrap, nor look negative to LD_IND.
          emit_jump(BPF_JMP32 | BPF_JGT | BPF_K, kX, 0, kLargestOffset - insn.k, kFailTarget);
          emit(BPF_LD | BPF_IND | size, 0, kX, 0, insn.k);
        }
        return size != BPF_DW;
      default: return false;
    }
  }

  bool load_x(const ClassicInsn& insn) {
    switch (BPF_MODE(insn.code)) {
      case BPF_IMM:
        emit(BPF_ALU | BPF_MOV | BPF_K, kX, 0, 0, insn.k);
        return BPF_SIZE(insn.code) == BPF_W;
      case kLen:
        emit(BPF_LDX | BPF_MEM | BPF_W, kX, kCtx, 0, 0);
        return BPF_SIZE(insn.code) == BPF_W;
      case kMemory: return BPF_SIZE(insn.code) == BPF_W && memory(insn, kX);
      case kMsh: return load_header_length(insn);
      default: return false;
    }
  }

  // X = 4 * (packet[k] & 0xf), A kept.
  bool load_header_length(const ClassicInsn& insn) {
    if (BPF_SIZE(insn.code) != BPF_B) return false;
    if (insn.k > kLargestOffset) {
      emit_fail();
      return true;
    }
    emit(BPF_ALU64 | BPF_MOV | BPF_X, kSaved, kA, 0, 0);
    emit(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, insn.k);
    emit(BPF_ALU | BPF_AND | BPF_K, kA, 0, 0, 0xf);
    emit(BPF_ALU | BPF_LSH | BPF_K, kA, 0, 0, 2);
    emit(BPF_ALU64 | BPF_MOV | BPF_X, kX, kA, 0, 0);
    emit(BPF_ALU64 | BPF_MOV | BPF_X, kA, kSaved, 0, 0);
    return true;
  }

  static int16_t memory_offset(uint32_t word) {
    return static_cast<int16_t>(static_cast<int>(word * 4) - static_cast<int>(kMemoryWords * 4));
  }
  bool memory(const ClassicInsn& insn, uint8_t to) {
    if (insn.k >= kMemoryWords) return false;
    emit(BPF_LDX | BPF_MEM | BPF_W, to, BPF_REG_10, memory_offset(insn.k), 0);
    return true;
  }
  bool store(const ClassicInsn& insn, uint8_t from) {
    if (insn.k >= kMemoryWords) return false;
    emit(BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, from, memory_offset(insn.k), 0);
    return true;
  }

  bool alu(const ClassicInsn& insn) {
    const uint8_t op = BPF_OP(insn.code);
    const bool with_x = BPF_SRC(insn.code) == BPF_X;
    const bool shifts = op == BPF_LSH || op == BPF_RSH;
    const bool divides = op == BPF_DIV || op == BPF_MOD;
    if (op == BPF_NEG) {
      emit(BPF_ALU | BPF_NEG, kA, 0, 0, 0);
      return true;
    }
    if (op > BPF_XOR) return false;
    if (!with_x) {
      if (divides && insn.k == 0) return false;
      if (shifts && insn.k > 31) {
        emit(BPF_ALU | BPF_MOV | BPF_K, kA, 0, 0, 0);
      } else {
        emit(BPF_ALU | op | BPF_K, kA, 0, 0, insn.k);
      }
      return true;
    }
    if (divides) emit_jump(BPF_JMP32 | BPF_JEQ | BPF_K, kX, 0, 0, kFailTarget);
    if (shifts) {
      emit(BPF_JMP32 | BPF_JLT | BPF_K, kX, 0, 1, 32);
      emit(BPF_ALU | BPF_MOV | BPF_K, kA, 0, 0, 0);  // then shifting 0 changes nothing
    }
    emit(BPF_ALU | op | BPF_X, kA, kX, 0, 0);
    return true;
  }

  bool jump(const ClassicInsn& insn) {
    const uint64_t next = at_ + 1;
    const uint8_t op = BPF_OP(insn.code);
    if (op == BPF_JA) return jump_to(BPF_JMP | BPF_JA, 0, 0, 0, next + insn.k);
    if (op != BPF_JEQ && op != BPF_JGT && op != BPF_JGE && op != BPF_JSET) return false;
    const bool with_x = BPF_SRC(insn.code) == BPF_X;
    const int code = BPF_JMP32 | op | (with_x ? BPF_X : BPF_K);
    if (!jump_to(code, kA, with_x ? kX : uint8_t{0}, with_x ? 0 : insn.k, next + insn.jt))
      return false;
    return insn.jf == 0 ? next < program_.size()
                        : jump_to(BPF_JMP | BPF_JA, 0, 0, 0, next + insn.jf);
  }
  bool jump_to(int code, uint8_t dst, uint8_t src, uint32_t imm, uint64_t target) {
    if (target >= program_.size()) return false;
    emit_jump(code, dst, src, imm, static_cast<uint32_t>(target));
    return true;
  }

  bool ret(const ClassicInsn& insn) {
    const int value = insn.code & 0x18;
    if (value == BPF_K) {
      emit(BPF_ALU | BPF_MOV | BPF_K, kA, 0, 0, insn.k);
    } else if (value != kReturnA) {
      return false;
    }
    emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    return true;
  }

  bool misc(const ClassicInsn& insn) {
    const bool to_x = (insn.code & 0xf8) == kTax;
    if (!to_x && (insn.code & 0xf8) != kTxa) return false;
    emit(BPF_ALU64 | BPF_MOV | BPF_X, to_x ? kX : kA, to_x ? kA : kX, 0, 0);
    return true;
  }

  Result<std::vector<Insn>> finish() {
    const auto fail_at = static_cast<uint32_t>(out_.size());
    bool fails = false;
    for (const auto& fixup : fixups_) {
      fails |= fixup.target == kFailTarget;
      const int64_t target = fixup.target == kFailTarget ? fail_at : starts_[fixup.target];
      const int64_t distance = target - fixup.insn - 1;
      if (distance > INT16_MAX) return fail(EINVAL, "classic program: too long to convert");
      out_[fixup.insn].off = static_cast<int16_t>(distance);
    }
    if (fails) {
      emit(BPF_ALU | BPF_MOV | BPF_K, kA, 0, 0, 0);
      emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    }
    return std::move(out_);
  }

  std::span<const ClassicInsn> program_;
  size_t at_ = 0;
  std::vector<Insn> out_;
  std::vector<uint32_t> starts_;  // of each classic instruction, in out_
  std::vector<Fixup> fixups_;
};

}  // namespace

Result<std::vector<Insn>> convert_classic(std::span<const ClassicInsn> program) {
  return Converter(program).run();
}

}  // namespace sluice::bpf
