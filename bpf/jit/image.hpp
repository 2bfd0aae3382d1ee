// What compilation needs of programs and maps, and nothing else: shapes and addresses, no objects.
// It can be made in one process and compiled in another (jit/serialise.hpp); the addresses are
// those of the process that will run the code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "bpf/progs/annotated_program.hpp"
#include "bpf/progs/burst.hpp"

namespace sluice::bpf::jit {

struct MapImage {
  MapCore core{};
  uint64_t address = 0;  // of the MapCore itself
  PrivateCopies copies;  // where the program only adds to it; `copies` null: it adds to the values
};

// AnnotatedProgram's members, maps by image.
struct ProgramImage {
  std::string name;
  uint32_t type = BPF_PROG_TYPE_UNSPEC;
  Hardening hardening;
  std::vector<Insn> insns;
  std::vector<InsnFact> facts;
  std::vector<Subprogram> subprograms;
  std::vector<MapImage> maps;
};

struct ChainImage {
  // burst: "sluice_burst", the whole chain over a burst. program: "sluice_program", the one program
  // as a TailCode.
  enum class Entry : uint32_t { burst, program };
  Entry entry = Entry::burst;
  PacketLayout layout{};
  std::vector<ProgramImage> programs;
};

ProgramImage make_image(const AnnotatedProgram& program);
ChainImage make_image(const ChainSpec& spec);
ChainImage make_program_image(const AnnotatedProgram& program);

// EINVAL where a program refers to what it does not have: a jump, a subprogram, a map, a fact. A
// verified program never does; bytes from elsewhere may.
Status check_image(const ChainImage& image);

}  // namespace sluice::bpf::jit
