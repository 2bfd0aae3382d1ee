// The shape of a program before any path is followed: instructions that exist, subprograms, jumps
// that stay inside them, nothing unreachable, no falling off the end. Also which registers are live
// at each instruction. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bpf/isa/insn.hpp"
#include "bpf/progs/annotated_program.hpp"

namespace sluice::bpf {

struct CfgError {
  int code = 0;  // 0: none
  uint32_t insn = 0;
  std::string reason;
};

struct Cfg {
  std::vector<Subprogram> subprograms;
  std::vector<uint16_t> subprogram_of;  // per instruction
  // per instruction: insn_fault has one, which counts when a path reaches it
  std::vector<uint8_t> faulty;
  std::vector<uint8_t> prune_point;     // per instruction: states that arrive here are compared
  // per instruction: and always remembered (calls with a callback)
  std::vector<uint8_t> forced;
  // per subprogram: it, or one that it calls, may change the packet
  std::vector<uint8_t> changes_packet;
  // per instruction: registers that some path from here reads before writing
  std::vector<uint16_t> live;
  CfgError error;
};

Cfg build_cfg(const std::vector<Insn>& insns);

// Registers read and written by an instruction, as bit sets.
struct RegisterUse {
  uint16_t reads = 0;
  uint16_t writes = 0;
};
RegisterUse register_use(const Insn& insn);
// Fills cfg->live. The shape must have been found good.
void compute_liveness(const std::vector<Insn>& insns, Cfg* cfg);

}  // namespace sluice::bpf
