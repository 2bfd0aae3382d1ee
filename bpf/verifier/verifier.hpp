// The verifier: proves that a program only reads and writes what it may, initialises what it reads, and ends. Nothing
// unverified reaches the interpreter or the JIT. Pure function; any thread. (Linux: Documentation/bpf/verifier.rst,
// RFC 9669; the kernel of the machine is the oracle for verdicts.)
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bpf/progs/annotated_program.hpp"

namespace sluice::bpf {

struct VerifierInput {
  std::string name;
  uint32_t type = BPF_PROG_TYPE_UNSPEC;
  bool gpl_compatible = false;
  uint32_t flags = 0;                      // BPF_F_STRICT_ALIGNMENT, BPF_F_ANY_ALIGNMENT
  uint32_t log_level = 0;                  // 1, 2, 4 as in bpf(2): kernel-format log
  // 64-bit immediate loads of maps already carry indices into `maps` (see AnnotatedProgram::insns).
  std::vector<Insn> insns;
  std::vector<std::shared_ptr<Map>> maps;
};

// A rejected program. `log` is in the kernel's format; the rest is for people.
struct Report {
  int code = 0;             // errno the load returns: EINVAL, EACCES, E2BIG, EPERM, EOPNOTSUPP
  uint32_t insn = 0;        // index of the instruction
  std::string reason;       // one sentence, the kernel's words where it has some: "R1 !read_ok"
  std::vector<std::string> path;  // branches that led there, with the register facts that matter
  std::string suggestion;   // may be empty
};

struct VerifierResult {
  std::shared_ptr<const AnnotatedProgram> program;  // null: rejected, see report
  Report report;
  std::string log;
  uint64_t verified_insns = 0;
};

VerifierResult verify(const VerifierInput& input);

}  // namespace sluice::bpf
