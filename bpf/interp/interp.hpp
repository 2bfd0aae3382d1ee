// The interpreter: reference semantics of the instruction set (RFC 9669), and what runs under `jit: off`.
#pragma once

#include <cstdint>
#include <memory>

#include "bpf/progs/annotated_program.hpp"
#include "bpf/progs/burst.hpp"
#include "bpf/progs/packet_context.hpp"

namespace sluice::bpf {

// Runs a verified program to its exit and returns R0 (64 bits). Any thread with its own ctx->env.
uint64_t interpret(const AnnotatedProgram& program, PacketContext* ctx);

// The interpreted form of a chain.
std::unique_ptr<Burst> make_interpreted_burst(ChainSpec spec);

}  // namespace sluice::bpf
