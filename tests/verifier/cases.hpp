// A verifier case, read by assemble.py from a .case file, and how it is given to our verifier and
// to the kernel's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "bpf/verifier/verifier.hpp"
#include "tests/unit/jit/static_functions.hpp"

namespace sluice::bpf {

struct VerifierCase {
  struct MapShape {
    uint32_t type, key_size, value_size, entries, flags;
  };
  struct Run {
    std::vector<uint8_t> packet;
    uint32_t result;
  };
  const char* name;
  const char* where;
  bool accept;
  const char* fragment;
  bool gpl;
  bool strict;
  const char* kernel;  // "", "skip REASON" or "differs REASON"
  const char* log;     // "" or the levels at which it differs from the kernel's, and why
  uint32_t type;       // enum bpf_prog_type
  std::vector<MapShape> maps;
  std::vector<Run> runs;
  std::vector<uint64_t> code;

  [[nodiscard]] bool kernel_differs() const { return std::string(kernel).starts_with("differs"); }
  [[nodiscard]] bool kernel_skipped() const { return std::string(kernel).starts_with("skip"); }
};

std::vector<const VerifierCase*> all_cases();

long kernel_bpf(int command, union bpf_attr* attr);

// Its type information lies in `functions`.
struct CaseInput {
  StaticFunctions functions;
  VerifierInput input;
};
CaseInput case_input(const VerifierCase& one, uint32_t log_level);

// 0 or the kernel's errno, and its log at that level.
struct KernelVerdict {
  int code = 0;
  std::string log;
  UniqueFd program;
};
KernelVerdict kernel_verdict(const VerifierCase& one, uint32_t log_level);

}  // namespace sluice::bpf
