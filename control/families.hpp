// A set of Prometheus families under construction, and sluice's own series in it. Control threads.
#pragma once

#include <prometheus/metric_family.h>

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/programs.hpp"
#include "dataplane/dataplane.hpp"

namespace sluice::control {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Families {
 public:
  // A family is made by its first value. HELP and TYPE come from there.
  void counter(std::string_view name, std::string_view help, Labels labels, double value);
  void gauge(std::string_view name, std::string_view help, Labels labels, double value);
  void add(prometheus::MetricFamily family) { families_.push_back(std::move(family)); }
  [[nodiscard]] std::vector<prometheus::MetricFamily> take() {
    return {families_.begin(), families_.end()};
  }

 private:
  prometheus::ClientMetric& value_of(std::string_view name, std::string_view help,
                                     prometheus::MetricType type, Labels labels);
  std::deque<prometheus::MetricFamily> families_;
};

void add_build_info(Families& families);
void add_program_series(Families& families, const Programs& programs);
void add_map_series(Families& families, const Programs& programs);
void add_dataplane_series(Families& families, const dataplane::Snapshot& snapshot);
// run, passed, dropped and trimmed of one program of a port's chain.
void add_program_counters(Families& families, const std::string& port, const std::string& program,
                          const bpf::ProgramCounters& counters);

}  // namespace sluice::control
