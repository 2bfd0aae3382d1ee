// A chain made runnable: the programs of one chain over bursts of packets. The JIT and the
// interpreter each make one; the data plane calls it and knows no other difference.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bpf/progs/annotated_program.hpp"
#include "bpf/progs/packet_context.hpp"

namespace sluice::bpf {

// Per program of a chain, per worker. Written by the worker, read by the exporter (relaxed).
struct ProgramCounters {
  uint64_t run = 0;      // packets it saw
  uint64_t passed = 0;   // verdict > 0; XDP_PASS, TCX_PASS, TCX_NEXT
  uint64_t trimmed = 0;  // verdict below the packet's captured length, and > 0
  uint64_t transmitted = 0;  // XDP_TX
  uint64_t redirected = 0;   // XDP_REDIRECT, TCX_REDIRECT
  [[nodiscard]] uint64_t dropped() const { return run - passed - transmitted - redirected; }
};

class Burst {
 public:
  virtual ~Burst() = default;
  // Runs the chain on packets[0..count), count <= kBurst. verdicts[i]: 0 drop, else how many bytes
  // to keep, the minimum of the socket filters' verdicts and the packet's captured length (an empty
  // chain keeps it whole), and where to send it (progs/chain_step.hpp). counters: one a program of
  // the chain.
  // Thread-safe for distinct env and counters. No allocation, no lock, no system call.
  virtual void run(void* const* packets, uint32_t count, uint32_t* verdicts, RunEnv* env,
                   ProgramCounters* counters) const = 0;
};

struct ChainSpec {
  std::vector<std::shared_ptr<const AnnotatedProgram>> programs;  // in order, xdp before the others
  PacketLayout layout;
};

}  // namespace sluice::bpf
