// Statistics for people: the tables that a replay and the end of a daemon print, and their JSON.
// Pure functions.
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "base/table.hpp"
#include "dataplane/dataplane.hpp"
#include "dataplane/replay.hpp"

namespace sluice::control {

std::string json_string(const std::string& text);

// What a configuration's metric found: a table of labels and values.
std::string format_metric(const prometheus::MetricFamily& family);

std::string format_replay(const dataplane::ReplayStats& stats,
                          const std::vector<prometheus::MetricFamily>& metrics);
std::string format_replay_json(const dataplane::ReplayStats& stats,
                               const std::vector<prometheus::MetricFamily>& metrics);
// A daemon's last words.
std::string format_final(const dataplane::Snapshot& snapshot);

}  // namespace sluice::control
