// What an element of a prog_array points at: a program and how to run it. Immutable; owned by the
// map's reference, retired through the grace period. Programs load the pointer (acquire) from value
// `index` of the map.
#pragma once

#include <cstdint>

#include "bpf/progs/packet_context.hpp"

namespace sluice::bpf {

struct AnnotatedProgram;
struct TailTarget;

// Runs the target's program on and returns its R0. ctx->tail_calls counts on.
using TailCode = uint64_t (*)(PacketContext* ctx, const TailTarget* target);

struct TailTarget {
  const AnnotatedProgram* program;
  // never null: jit::CompiledProgram::code(), or interpret_target (interp/interp.hpp)
  TailCode code;
};

}  // namespace sluice::bpf
