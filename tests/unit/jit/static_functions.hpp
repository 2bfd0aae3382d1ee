// Type information that says of each subprogram that it is a static function, which Linux asks for
// where a program has callbacks.
#pragma once

#include <vector>

#include "bpf/isa/insn.hpp"

namespace sluice::bpf {

struct StaticFunctions {
  std::vector<uint8_t> btf;
  std::vector<bpf_func_info> func_info;
};

// Empty where the program loads no subprogram's address.
StaticFunctions static_functions_of(const std::vector<Insn>& insns);

}  // namespace sluice::bpf
