// The interpreter: reference semantics of the instruction set (RFC 9669), and what runs under `jit:
// off`.
#pragma once

#include <cstdint>
#include <memory>

#include "bpf/progs/annotated_program.hpp"
#include "bpf/progs/burst.hpp"
#include "bpf/progs/packet_context.hpp"
#include "bpf/progs/tail_target.hpp"

namespace sluice::bpf {

// Runs a verified program to its exit and returns R0 (64 bits). Any thread with its own ctx->env.
// ctx->tail_calls counts on from what it is; a new context has 0.
uint64_t interpret(const AnnotatedProgram& program, PacketContext* ctx);
// TailTarget::code of a program that is interpreted.
uint64_t interpret_target(PacketContext* ctx, const TailTarget* target);

// The interpreted form of a chain.
std::unique_ptr<Burst> make_interpreted_burst(ChainSpec spec);

}  // namespace sluice::bpf
