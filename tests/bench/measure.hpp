// Timing of contestants side by side: interleaved rounds, medians. Nanoseconds a packet.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sluice::bench {

struct Contestant {
  std::string name;
  std::function<void()> pass;  // all packets once
};

struct Timing {
  double median;  // ns a packet
  double spread;  // half the distance between the quartiles, over the median
};

// One a contestant, in order.
std::vector<Timing> measure(const std::vector<Contestant>& contestants, uint32_t packets_a_pass);

struct Row {
  std::string kind;
  std::string name;
  std::vector<std::string> contestants;  // [0] is sluice
  std::vector<Timing> timings;
  std::vector<std::string> absent;       // "peer: reason"
};

void print(const Row& row);
// The list of {"kind", "name", "unit", "sluice", "peers"}.
bool write_json(const std::string& path, const std::vector<Row>& rows);

}  // namespace sluice::bench
