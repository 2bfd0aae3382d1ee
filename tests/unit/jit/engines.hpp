// Runs a program on the interpreter and on the JIT, each with maps of its own, and hands back what
// both left.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bpf/maps/map.hpp"
#include "bpf/progs/burst.hpp"
#include "bpf/verifier/verifier.hpp"

namespace sluice::bpf {

using Maps = std::vector<std::shared_ptr<Map>>;

// A burst function and the maps that its programs use.
struct Engine {
  std::unique_ptr<Burst> burst;
  Maps maps;
  RunEnv env;
  ProgramCounters counters;
  // The verdict of one packet.
  uint32_t run(const LinearPacket& packet);
};

// The program with other maps of the same shapes.
std::shared_ptr<AnnotatedProgram> with_maps(const AnnotatedProgram& program, Maps maps);
Engine interpreted(const AnnotatedProgram& program, Maps maps);
// An empty burst and a test failure where it does not compile.
Engine compiled(const AnnotatedProgram& program, Maps maps);

VerifierResult verify_insns(std::vector<Insn> insns, const Maps& maps,
                            uint32_t type = BPF_PROG_TYPE_SOCKET_FILTER, Hardening hardening = {});

// Everything in the maps, elements in order of their keys.
std::string contents(const Maps& maps);

}  // namespace sluice::bpf
