// What the daemon tells a person over the API socket, as JSON. `sluice status`, `port`, `chain` and
// `metrics` show it. Any control thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "bpf/object/object_table.hpp"
#include "config/schema.hpp"
#include "control/trace_log.hpp"
#include "dataplane/dataplane.hpp"

namespace sluice::control {

// The daemon as its queries see it.
struct QuerySources {
  const config::Config& config;
  const dataplane::Dataplane& dataplane;
  const bpf::ObjectTable& objects;
  std::function<std::string()> exposition;  // what a scrape would get
  const TraceLog& trace;
  double started_seconds = 0;               // CLOCK_MONOTONIC
};

// "status": version, pid, uptime_seconds, configuration, counts of ports, workers and chains.
// "ports": an array of name, device, driver, mac, ifindex, link_up, rx and tx counters, queues.
// "chains": an array of port, action, run_seconds, programs (name, run, passed, trimmed).
// "workers": an array of worker, core, packets, bursts, sleeps, busy_seconds.
// "maps": an array of id, name, type (its number), entries, max_entries, memory_bytes, full_errors,
// frozen; of a
//   prog_array with programs also owner_prog_type (its number), owner_jited.
// "metrics": the Prometheus exposition as one JSON string.
// "trace", "trace N": what programs printed, as TraceLog::since; without N the oldest that is kept
// comes first. ENOENT: no such query.
Result<std::string> answer_query(const QuerySources& sources, std::string_view what);

}  // namespace sluice::control
