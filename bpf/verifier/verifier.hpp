// The verifier: proves that a program only reads and writes what it may, initialises what it reads,
// and ends. Nothing unverified reaches the interpreter or the JIT. Pure function; any thread.
// (Linux: Documentation/bpf/verifier.rst, RFC 9669; the kernel of the machine is the oracle for
// verdicts.)
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "bpf/progs/annotated_program.hpp"

namespace sluice::bpf {

struct VerifierInput {
  std::string name;
  uint32_t type = BPF_PROG_TYPE_UNSPEC;
  bool gpl_compatible = false;
  Hardening hardening;                     // handed on to the annotated program
  uint32_t flags = 0;                      // BPF_F_STRICT_ALIGNMENT, BPF_F_ANY_ALIGNMENT
  uint32_t log_level = 0;                  // 1, 2, 4 as in bpf(2): kernel-format log
  uint32_t expected_attach_type = 0;       // enum bpf_attach_type; 0: none given
  uint32_t possible_cpus = 0;              // bpf_get_smp_processor_id() is below it; 0: not known
  uint64_t memory_limit = kMaxVerifierBytes;  // bytes of states held; more is ENOMEM
  // 64-bit immediate loads of maps already carry indices into `maps` (see AnnotatedProgram::insns).
  std::vector<Insn> insns;
  std::vector<std::shared_ptr<Map>> maps;
  std::vector<uint8_t> frozen;  // one a map: MAP_FREEZE has been called; missing ones have not
  // Type information as loaded with the program (BTF_LOAD's blob; the caller's, for the time of the
  // call). Global subprograms, maps' special fields and the report's source lines need it; all may
  // be empty.
  std::span<const uint8_t> btf;
  std::vector<bpf_func_info> func_info;
  std::vector<bpf_line_info> line_info;
};

// A rejected program. `log` is in the kernel's format; the rest is for people.
struct Report {
  int code = 0;             // errno the load returns: EINVAL, EACCES, E2BIG, EPERM, EOPNOTSUPP
  uint32_t insn = 0;        // index of the instruction
  std::string reason;       // one sentence, the kernel's words where it has some: "R1 !read_ok"
  std::vector<std::string> path;  // branches that led there, with the register facts that matter
  std::string suggestion;   // may be empty
  std::string source;       // "file.c:12: text", from the line info; may be empty
};

struct VerifierResult {
  std::shared_ptr<const AnnotatedProgram> program;  // null: rejected, see report
  std::vector<uint32_t> origins;  // for each of its instruction slots: the index in the input
  Report report;
  std::string log;
  size_t log_lost = 0;  // bytes that stood before it: a very long log keeps its end
  uint64_t verified_insns = 0;
};

VerifierResult verify(const VerifierInput& input);

}  // namespace sluice::bpf
