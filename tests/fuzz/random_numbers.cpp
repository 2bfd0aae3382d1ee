#include "tests/fuzz/random_numbers.hpp"

#include <cstddef>

namespace sluice::bpf {

using namespace build;

int32_t RandomNumbers::number() {
  switch (below(6)) {
    case 0: return static_cast<int32_t>(random_());
    case 1: return static_cast<int32_t>(1u << below(32));
    case 2: return static_cast<int32_t>((1u << below(32)) - 1);
    case 3: return -static_cast<int32_t>(below(100));
    default: return static_cast<int32_t>(below(70));
  }
}

void RandomNumbers::unknown(uint8_t reg) {
  switch (below(5)) {
    case 0:
      if (is_skb()) {
        code_ << load(
            BPF_W, reg, 6,
            pick({int16_t{offsetof(__sk_buff, len)}, int16_t{offsetof(__sk_buff, protocol)},
                  int16_t{offsetof(__sk_buff, mark)}}));
        return;
      }
      [[fallthrough]];
    case 1:
      code_ << map_value(2, 1 - 1) << load(size(), reg, 2, static_cast<int16_t>(8 * below(7)));
      return;
    case 2:
      if (is_skb()) {
        code_ << load_abs(pick({BPF_B, BPF_H, BPF_W}), static_cast<int32_t>(below(20)))
              << mov_reg(reg, 0);
        return;
      }
      [[fallthrough]];
    case 3:
      code_ << map_value(2, 0)
            << load_signed(pick({BPF_B, BPF_H, BPF_W}), reg, 2, static_cast<int16_t>(8 * below(7)));
      return;
    default: code_ << map_value(2, 0) << load(BPF_DW, reg, 2, static_cast<int16_t>(8 * below(7)));
  }
}

void RandomNumbers::arithmetic(uint8_t dst) {
  const bool wide = one_in(2);
  const uint8_t src = number_reg();
  switch (below(9)) {
    case 0: return shift(dst, wide);
    case 1: {
      const int op = pick({BPF_DIV, BPF_MOD});
      const auto is_signed = static_cast<int16_t>(below(2));
      code_ << (wide ? alu(op, dst, number() | 1, is_signed)
                     : alu32(op, dst, number() | 1, is_signed));
      return;
    }
    case 2: code_ << alu_reg(BPF_MOV, dst, src, static_cast<int16_t>(pick({0, 8, 16, 32}))); return;
    case 3: code_ << alu32_reg(BPF_MOV, dst, src, static_cast<int16_t>(pick({0, 8, 16}))); return;
    case 4: code_ << alu(BPF_AND, dst, number()); return;
    case 5:
      if (one_in(2)) {
        code_ << alu(BPF_NEG, dst, 0);
      } else {
        code_ << endian(pick({BPF_TO_BE, BPF_TO_LE}), dst, pick({16, 32, 64}));
      }
      return;
    default: {
      const int op = pick({BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR, BPF_AND, BPF_XOR, BPF_ADD});
      if (one_in(2)) {
        code_ << (wide ? alu_reg(op, dst, src) : alu32_reg(op, dst, src));
      } else {
        code_ << (wide ? alu(op, dst, number()) : alu32(op, dst, number()));
      }
    }
  }
}

Insn RandomNumbers::condition(uint8_t reg) {
  const int op = pick(kCompare);
  const bool wide = !one_in(3);
  if (one_in(4))
    return wide ? jump_reg(op, reg, number_reg(), 0) : jump32_reg(op, reg, number_reg(), 0);
  const int32_t to = one_in(4) ? number() : small();
  return wide ? jump(op, reg, to, 0) : jump32(op, reg, to, 0);
}

void RandomNumbers::narrow(uint8_t reg) {
  for (uint32_t i = 0, count = 1 + below(4); i < count; i++) {
    switch (below(4)) {
      case 0: arithmetic(reg); break;
      case 1: {
        const int32_t mask = pick({7, 15, 31, 63, 56, 60, 127});
        code_ << (one_in(2) ? alu(BPF_AND, reg, mask) : alu32(BPF_AND, reg, mask));
        break;
      }
      case 2: out(condition(reg)); break;
      default:
        out(jump(pick({BPF_JGT, BPF_JGE, BPF_JSGT, BPF_JGT}), reg, static_cast<int32_t>(below(72)),
                 0));
        break;
    }
  }
}

void RandomNumbers::out(Insn jump) {
  exits_.push_back(code_.size());
  code_ << jump;
}

void RandomNumbers::close(size_t first) {
  while (exits_.size() > first) {
    code_[exits_.back()].off = static_cast<int16_t>(code_.size() - exits_.back() - 1);
    exits_.pop_back();
  }
}

}  // namespace sluice::bpf
