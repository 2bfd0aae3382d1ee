// A chain: what a port does with a packet. Made by the control thread, published to the workers
// whole, retired through QSBR once none of them runs it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bpf/progs/burst.hpp"

namespace sluice::dataplane {

// none drops what passes, counted
enum class ActionKind : uint8_t { none, forward, reflect, drop };

struct Action {
  ActionKind kind = ActionKind::none;
  uint32_t port = 0;  // forward: index of the port, in the order of DataplaneSpec::ports
};

struct Chain {
  std::vector<std::string> programs;         // names, in order, for the statistics
  // the programs as one function; null with no programs: all passes
  std::shared_ptr<const bpf::Burst> burst;
  Action action;
  bool changes_packets = false;  // one of its programs is of a type that may
};

}  // namespace sluice::dataplane
