// Numbers as a verifier sees them: of which much, little or nothing is known, by what they are read
// from, by arithmetic and by comparisons. R6 is the context, R7 to R9 are the numbers.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "tests/fuzz/random_code.hpp"

namespace sluice::bpf {

class RandomNumbers : protected RandomCode {
 protected:
  explicit RandomNumbers(std::mt19937_64 random) : RandomCode(random) {}

  bool is_skb() const {
    return type_ == BPF_PROG_TYPE_SOCKET_FILTER || type_ == BPF_PROG_TYPE_SCHED_CLS;
  }
  uint8_t number_reg() { return static_cast<uint8_t>(7 + below(3)); }
  int32_t small() { return static_cast<int32_t>(below(80)) - 8; }
  int32_t number();

  void unknown(uint8_t reg);  // R`reg` becomes a number of which nothing or little is known
  void arithmetic(uint8_t dst);
  Insn condition(uint8_t reg);
  void narrow(uint8_t reg);

  // Jumps out of a statement, to its end.
  void out(Insn jump);
  void close(size_t first);

  uint32_t type_ = 0;  // enum bpf_prog_type
  std::vector<size_t> exits_;
};

}  // namespace sluice::bpf
