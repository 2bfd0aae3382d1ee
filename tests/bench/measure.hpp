// Timing of contestants side by side: interleaved rounds, medians with spread. A row goes to
// standard output as one line of JSON, which run.py collects; what else there is to say goes to
// standard error.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sluice::bench {

// How long to measure: `quick` keeps the whole of `make bench` within minutes.
struct Effort {
  int rounds;       // of each contestant
  double round_ns;  // of timed work in a round
  bool full;        // rows that take long to set up too
};
inline constexpr Effort kQuick{15, 2e6, false};
inline constexpr Effort kFull{41, 6e6, true};

struct Contestant {
  std::string name;
  std::function<double()> round;  // does its work; nanoseconds (or the row's unit) an operation
};

// A contestant whose pass does `operations` of them: as many passes a round as fill it.
Contestant timed(std::string name, const Effort& effort, double operations,
                 std::function<void()> pass);
// The same where each pass has to be prepared, which is not timed: one pass a round.
Contestant prepared(std::string name, double operations, std::function<void()> prepare,
                    std::function<void()> pass);

struct Value {
  std::string name;
  double median = 0;
  double spread = 0;  // half the distance between the quartiles, over the median
};

struct Row {
  std::string kind;
  std::string name;
  std::string unit = "ns/packet";
  std::vector<Value> values;           // [0] is sluice
  std::vector<std::string> absent;     // "peer: reason"
  std::string group;                   // a mean of its own beside the kind's; empty: none

  [[nodiscard]] const Value* find(const std::string& contestant) const;
};

// Round by round, each contestant once a round. One value a contestant, in order.
std::vector<Value> measure(const Effort& effort, const std::vector<Contestant>& contestants);

// As one line of JSON on standard output, at once.
void report(const Row& row);
// A row that sluice itself cannot do.
void report_missing(const std::string& kind, const std::string& name, const std::string& why);
[[noreturn]] void give_up(const std::string& why);

}  // namespace sluice::bench
