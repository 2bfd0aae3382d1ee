// The Prometheus exporter: the configuration's metrics and sluice's own, on metrics.listen or as
// text. Its HTTP threads call the collector, which only reads.
#pragma once

#include <prometheus/collectable.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "control/families.hpp"
#include "control/map_metric.hpp"

namespace prometheus {
class Exposer;
}

namespace sluice::control {

// The configuration's metrics over the programs' maps. A metric whose map is a pin path is left
// out. The error has a line for each mistake, with its file:line:column.
Result<std::vector<MapMetric>> make_map_metrics(const config::Config& config,
                                                const Programs& programs);

// The exposition: build, programs, maps, what `more` adds, and the configuration's metrics.
using AddSeries = std::function<void(Families&)>;
std::vector<prometheus::MetricFamily> collect_all(const Programs& programs,
                                                  const std::vector<MapMetric>& metrics,
                                                  const AddSeries& more);
std::string render_text(const std::vector<prometheus::MetricFamily>& families);

class Exporter {
 public:
  // Listens on "address:port" (port 0: a free one) and serves /metrics, /-/healthy and /-/ready,
  // the last two with 200 for as long as it listens: it is started when the packets flow, and ends
  // before they stop.
  static Result<std::unique_ptr<Exporter>> start(
      const std::string& listen, std::function<std::vector<prometheus::MetricFamily>()> collect);
  ~Exporter();
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  [[nodiscard]] int port() const;

 private:
  Exporter();
  std::string listen_;
  std::shared_ptr<prometheus::Collectable> collector_;
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace sluice::control
