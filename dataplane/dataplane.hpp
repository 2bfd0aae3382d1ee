// The data plane as the control thread sees it: ports, the workers that poll them, a chain a port,
// statistics. Its methods may be called from any control thread; none stalls a worker.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "dataplane/chain.hpp"
#include "dataplane/port.hpp"

namespace sluice::dataplane {

struct DataplaneSpec {
  std::vector<PortSpec> ports;
  // a worker each; the receive queues of all ports are dealt out to them in turn
  std::vector<unsigned> cores = {0};
};

// Of one receive queue, by the worker that polls it. packets = the sum of what follows it.
struct QueueSnapshot {
  uint16_t queue = 0;
  uint32_t worker = 0;
  uint64_t packets = 0;
  uint64_t sent = 0;             // passed the chain, handed to the transmit queue
  uint64_t dropped_verdict = 0;  // a program returned 0
  // passed a chain whose action is drop or none, or the port has no chain
  uint64_t dropped_action = 0;
  uint64_t dropped_tx_full = 0;  // passed, but the transmit queue had no room
  // in several segments, and too long to be put in one piece, or to be put back
  uint64_t dropped_no_memory = 0;
  uint64_t dropped_redirect = 0;   // sent by a program to a port that is not there
  uint64_t trimmed = 0;          // of those that passed: shortened
};
struct PortSnapshot {
  std::string name;
  std::string device;
  std::string driver;
  std::string mac;
  uint32_t ifindex = 0;
  bool link_up = false;
  PortStats stats;
  std::vector<QueueSnapshot> queues;
};
struct WorkerSnapshot {
  uint32_t worker = 0;
  unsigned core = 0;
  uint64_t iterations = 0;  // rounds over its queues
  uint64_t bursts = 0;      // polls that brought packets
  uint64_t packets = 0;
  uint64_t sleeps = 0;      // idle back-offs
  uint64_t trace_dropped = 0;
  double busy_seconds = 0;  // in bursts
};
struct ProgramSnapshot {
  std::string name;
  bpf::ProgramCounters counters;  // summed over workers, kept when a chain is replaced
};
struct ChainSnapshot {
  uint32_t port = 0;  // index
  Action action;
  double run_seconds = 0;  // in its programs
  std::vector<ProgramSnapshot> programs;
};
struct Snapshot {
  std::vector<PortSnapshot> ports;
  std::vector<WorkerSnapshot> workers;
  std::vector<ChainSnapshot> chains;  // ports that have one
};

class Dataplane {
 public:
  // Opens and starts the ports. The Eal must be there if there are ports. No worker runs yet.
  static Result<std::unique_ptr<Dataplane>> create(const DataplaneSpec& spec);
  ~Dataplane();  // stops
  Dataplane(const Dataplane&) = delete;
  Dataplane& operator=(const Dataplane&) = delete;

  // Publishes the chain on the port's ingress, at any time; returns when no worker runs the old one
  // any more. Compile it for kPortLayout. errors: EINVAL (no such port, a forward to a port without
  // transmit queue).
  Status set_chain(uint32_t port, Chain chain);
  void clear_chain(uint32_t port);

  // What a worker may still be looking at is free once grace_over(begin_grace()): each has been
  // quiescent since. Neither waits.
  [[nodiscard]] uint64_t begin_grace();
  [[nodiscard]] bool grace_over(uint64_t token);

  Status start();
  void stop();  // lets the workers empty their queues (bounded), then joins them

  [[nodiscard]] uint32_t workers() const;
  [[nodiscard]] Snapshot snapshot() const;
  // A line that a program wrote with bpf_trace_printk; false: none waits.
  bool take_trace(std::string& line);

 private:
  struct State;
  explicit Dataplane(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sluice::dataplane
