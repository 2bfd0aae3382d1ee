// What an element of a prog_array points at: the program in the form each engine runs. Immutable; owned by the map's
// reference, retired through the grace period.
#pragma once

#include <cstdint>

#include "bpf/progs/packet_context.hpp"

namespace sluice::bpf {

struct AnnotatedProgram;

// calls_left: tail calls the run may still make (kMaxTailCalls at its start). Returns R0.
using TailCode = uint64_t (*)(PacketContext* ctx, uint32_t calls_left);

struct TailTarget {
  const AnnotatedProgram* program;  // the interpreter's
  TailCode code;                    // the JIT's; null where the program has not been compiled
};

}  // namespace sluice::bpf
