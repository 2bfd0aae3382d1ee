// A classic program as C, one statement and one label an instruction: what a person would hand to a
// compiler.
#include <linux/filter.h>

#include "tests/bench/peers.hpp"

namespace sluice::bench {
namespace {

constexpr const char* kHead = R"(
#include <stdint.h>
#include <string.h>
struct packet {
  const uint8_t* buffer;
  uint16_t data_off, reserved;
  uint32_t captured, wire_length, hash;
};
static inline uint32_t be16(const uint8_t* p) {
  uint16_t v;
  memcpy(&v, p, 2);
  return __builtin_bswap16(v);
}
static inline uint32_t be32(const uint8_t* p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return __builtin_bswap32(v);
}
static inline uint32_t filter(const uint8_t* p, uint32_t captured, uint32_t length) {
  uint32_t A = 0, X = 0, M[16] = {0};
)";
constexpr const char* kTail = R"(}
void burst(void* const* packets, uint32_t count, uint32_t* verdicts) {
  for (uint32_t i = 0; i < count; i++) {
    const struct packet* packet = packets[i];
    const uint8_t* bytes = packet->buffer + packet->data_off;
    uint32_t keep = filter(bytes, packet->captured, packet->wire_length);
    verdicts[i] = keep < packet->captured ? keep : packet->captured;
  }
}
)";

std::string load(const ClassicInsn& insn, const std::string& k) {
  const uint32_t size = BPF_SIZE(insn.code) == BPF_W ? 4 : BPF_SIZE(insn.code) == BPF_H ? 2 : 1;
  const std::string at =
      BPF_MODE(insn.code) == BPF_IND ? "((uint64_t)X + " + k + ")" : "(uint64_t)" + k;
  const std::string read = size == 4   ? "be32(p + " + at + ")"
                           : size == 2 ? "be16(p + " + at + ")"
                                       : "p[" + at + "]";
  return "if (" + at + " + " + std::to_string(size) + " > captured) return 0; A = " + read + ";";
}

std::string value(const ClassicInsn& insn, const std::string& k) {
  switch (BPF_MODE(insn.code)) {
    case BPF_MEM: return "M[" + k + "]";
    case BPF_LEN: return "length";
    default: return k;
  }
}

std::string arithmetic(const ClassicInsn& insn, const std::string& k) {
  const std::string operand = BPF_SRC(insn.code) == BPF_X ? "X" : k;
  switch (BPF_OP(insn.code)) {
    case BPF_ADD: return "A += " + operand + ";";
    case BPF_SUB: return "A -= " + operand + ";";
    case BPF_MUL: return "A *= " + operand + ";";
    case BPF_DIV: return "if (" + operand + " == 0) return 0; A /= " + operand + ";";
    case BPF_MOD: return "if (" + operand + " == 0) return 0; A %= " + operand + ";";
    case BPF_AND: return "A &= " + operand + ";";
    case BPF_OR: return "A |= " + operand + ";";
    case BPF_XOR: return "A ^= " + operand + ";";
    case BPF_LSH: return "A = " + operand + " < 32 ? A << (" + operand + " & 31) : 0;";
    case BPF_RSH: return "A = " + operand + " < 32 ? A >> (" + operand + " & 31) : 0;";
    default: return "A = -A;";
  }
}

std::string jump(const ClassicInsn& insn, const std::string& k, size_t next) {
  const auto label = [&](uint32_t distance) {
    return "goto L" + std::to_string(next + distance) + ";";
  };
  if (BPF_OP(insn.code) == BPF_JA) return label(insn.k);
  const std::string operand = BPF_SRC(insn.code) == BPF_X ? "X" : k;
  const char* test = BPF_OP(insn.code) == BPF_JEQ   ? "A == "
                     : BPF_OP(insn.code) == BPF_JGT ? "A > "
                     : BPF_OP(insn.code) == BPF_JGE ? "A >= "
                                                    : "A & ";
  return "if (" + (test + operand) + ") " + label(insn.jump_true) + " else " +
         label(insn.jump_false);
}

std::string statement(const ClassicInsn& insn, size_t at) {
  const std::string k = std::to_string(insn.k) + "u";
  switch (BPF_CLASS(insn.code)) {
    case BPF_LD:
      return BPF_MODE(insn.code) == BPF_ABS || BPF_MODE(insn.code) == BPF_IND
                 ? load(insn, k)
                 : "A = " + value(insn, k) + ";";
    case BPF_LDX:
      if (BPF_MODE(insn.code) != BPF_MSH) return "X = " + value(insn, k) + ";";
      return "if (" + k + " >= captured) return 0; X = (p[" + k + "] & 15u) * 4;";
    case BPF_ST: return "M[" + k + "] = A;";
    case BPF_STX: return "M[" + k + "] = X;";
    case BPF_ALU: return arithmetic(insn, k);
    case BPF_JMP: return jump(insn, k, at + 1);
    case BPF_RET: return "return " + (BPF_RVAL(insn.code) == BPF_A ? "A" : k) + ";";
    default: return BPF_MISCOP(insn.code) == BPF_TAX ? "X = A;" : "A = X;";
  }
}

}  // namespace

std::string print_native_filter(const std::vector<ClassicInsn>& program) {
  std::string text = kHead;
  for (size_t i = 0; i < program.size(); i++)
    text += "L" + std::to_string(i) + ": " + statement(program[i], i) + "\n";
  return text + kTail;
}

}  // namespace sluice::bench
