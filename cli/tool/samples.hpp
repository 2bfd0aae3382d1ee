// The daemon's counters at two moments, as rates. The session's thread.
#pragma once

#include <string>
#include <vector>

#include "cli/tool/daemon_text.hpp"

namespace sluice::cli {

struct Sample {
  double seconds = 0;  // CLOCK_MONOTONIC
  Json ports;          // the daemon's words
  Json workers;
  Json chains;
};
// errors: those of the connection (ENOTCONN: the daemon is gone).
Result<Sample> take_sample(Connection& connection);

// All counts are per second.
struct PortRate {
  std::string port;
  double rx_packets = 0;
  double rx_bits = 0;
  double tx_packets = 0;
  double tx_bits = 0;
  double missed = 0;   // by the port: nobody fetched them in time
  double dropped = 0;  // by a program, an action, or for want of room
};
struct WorkerRate {
  std::string worker;
  std::string core;
  double packets = 0;
  double bursts = 0;
  double sleeps = 0;
  double busy = 0;  // of the core, 0 to 1
};
struct ProgramRate {
  std::string program;
  std::string port;
  double run = 0;
  double passed = 0;
  double dropped = 0;
  double trimmed = 0;
  double chain_nanoseconds = 0;  // a packet: a chain is one compiled function
  double chain_cpu = 0;          // of one core, 0 to 1
};

std::vector<PortRate> port_rates(const Sample& before, const Sample& after);
std::vector<WorkerRate> worker_rates(const Sample& before, const Sample& after);
// In the order the programs run, by port.
std::vector<ProgramRate> program_rates(const Sample& before, const Sample& after);

// Packets of a port's queues that were dropped, and why not.
[[nodiscard]] uint64_t dropped_packets(const Json& port);

}  // namespace sluice::cli
