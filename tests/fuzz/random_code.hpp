// What generators of random programs have in common: choices, deterministic in the seed, and the
// code so far.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>

#include "bpf/isa/insn.hpp"
#include "tests/unit/jit/insn_build.hpp"

namespace sluice::bpf {

inline constexpr int kCompare[] = {BPF_JEQ,  BPF_JNE,  BPF_JGT,  BPF_JGE,  BPF_JLT, BPF_JLE,
                                   BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE, BPF_JSET};

class RandomCode {
 protected:
  explicit RandomCode(std::mt19937_64 random) : random_(random) {}

  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }
  bool one_in(uint32_t chances) { return below(chances) == 0; }
  template <class T>
  T pick(std::initializer_list<T> choices) {
    return choices.begin()[below(static_cast<uint32_t>(choices.size()))];
  }
  template <class T, size_t N>
  T pick(const T (&choices)[N]) { return choices[below(N)]; }

  int size() { return pick({BPF_B, BPF_H, BPF_W, BPF_DW}); }
  static uint32_t bytes(int size) { return access_size({build::code(size), 0, 0, 0, 0}); }

  // R`dst` shifted by a constant of its width.
  void shift(uint8_t dst, bool wide) {
    using build::operator<<;
    const int op = pick({BPF_LSH, BPF_RSH, BPF_ARSH});
    const auto count = static_cast<int32_t>(below(wide ? 64 : 32));
    code_ << (wide ? build::alu(op, dst, count) : build::alu32(op, dst, count));
  }

  std::mt19937_64 random_;
  build::Code code_;
};

}  // namespace sluice::bpf
