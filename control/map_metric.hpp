// A metric of the configuration: a map's contents as a Prometheus family. Reads the map as bpf(2)
// does, never through the packet path, so a scrape stalls no worker. Control threads.
#pragma once

#include <prometheus/metric_family.h>

#include <memory>

#include "base/result.hpp"
#include "bpf/maps/map.hpp"
#include "config/schema.hpp"

namespace sluice::control {

class MapMetric {
 public:
  // The labels must make up the map's key, and the value be 1, 2, 4 or 8 bytes. `metric` must
  // outlive this. The error carries file:line:column of `config`.
  static Result<MapMetric> create(const config::Config& config, const config::Metric& metric,
                                  std::shared_ptr<bpf::Map> map);

  [[nodiscard]] prometheus::MetricFamily collect() const;
  [[nodiscard]] const config::Metric& config() const { return *metric_; }

 private:
  MapMetric(const config::Metric& metric, std::shared_ptr<bpf::Map> map)
      : metric_(&metric), map_(std::move(map)) {}

  const config::Metric* metric_;
  std::shared_ptr<bpf::Map> map_;
};

}  // namespace sluice::control
