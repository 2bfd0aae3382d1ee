#include "control/queries.hpp"

#include <time.h>
#include <unistd.h>

#include <charconv>
#include <utility>
#include <vector>

#include "control/report.hpp"

namespace sluice::control {
namespace {

using Fields = std::vector<std::pair<const char*, std::string>>;

std::string object(const Fields& fields) {
  std::string json;
  for (const auto& [name, value] : fields)
    json += (json.empty() ? "" : ", ") + json_string(name) + ": " + value;
  return "{" + json + "}";
}

template <class Items, class Format>
std::string array(const Items& items, const Format& format) {
  std::string json;
  for (const auto& item : items) json += (json.empty() ? "" : ", ") + format(item);
  return "[" + json + "]";
}

std::string number(uint64_t value) { return std::to_string(value); }
std::string number(double value) { return std::to_string(value); }
std::string boolean(bool value) { return value ? "true" : "false"; }

std::string port_json(const dataplane::PortSnapshot& port) {
  const auto queue_json = [](const dataplane::QueueSnapshot& queue) {
    return object({{"queue", number(uint64_t{queue.queue})},
                   {"worker", number(uint64_t{queue.worker})},
                   {"packets", number(queue.packets)},
                   {"sent", number(queue.sent)},
                   {"dropped_verdict", number(queue.dropped_verdict)},
                   {"dropped_action", number(queue.dropped_action)},
                   {"dropped_tx_full", number(queue.dropped_tx_full)},
                   {"dropped_no_memory", number(queue.dropped_no_memory)},
                   {"dropped_redirect", number(queue.dropped_redirect)},
                   {"trimmed", number(queue.trimmed)}});
  };
  const dataplane::PortStats& stats = port.stats;
  return object({{"name", json_string(port.name)},
                 {"device", json_string(port.device)},
                 {"driver", json_string(port.driver)},
                 {"mac", json_string(port.mac)},
                 {"ifindex", number(uint64_t{port.ifindex})},
                 {"link_up", boolean(port.link_up)},
                 {"rx_packets", number(stats.rx_packets)},
                 {"rx_bytes", number(stats.rx_bytes)},
                 {"rx_missed", number(stats.rx_missed)},
                 {"rx_errors", number(stats.rx_errors)},
                 {"rx_no_buffer", number(stats.rx_no_buffer)},
                 {"tx_packets", number(stats.tx_packets)},
                 {"tx_bytes", number(stats.tx_bytes)},
                 {"tx_errors", number(stats.tx_errors)},
                 {"queues", array(port.queues, queue_json)}});
}

std::string worker_json(const dataplane::WorkerSnapshot& worker) {
  return object({{"worker", number(uint64_t{worker.worker})},
                 {"core", number(uint64_t{worker.core})},
                 {"iterations", number(worker.iterations)},
                 {"bursts", number(worker.bursts)},
                 {"packets", number(worker.packets)},
                 {"sleeps", number(worker.sleeps)},
                 {"trace_dropped", number(worker.trace_dropped)},
                 {"busy_seconds", number(worker.busy_seconds)}});
}

std::string map_json(const bpf::MapObject& object_of_map, bool jit) {
  const bpf::Map& map = *object_of_map.map;
  Fields fields{{"id", number(uint64_t{object_of_map.id})},
                {"name", json_string(map.spec().name)},
                {"type", number(uint64_t{map.spec().type})},
                {"entries", number(map.entries())},
                {"max_entries", number(uint64_t{map.spec().max_entries})},
                {"memory_bytes", number(map.memory_bytes())},
                {"full_errors", number(map.full_errors())},
                {"frozen", boolean(object_of_map.frozen.load())}};
  if (const uint64_t kind = map.kind(); kind != 0) {
    fields.emplace_back("owner_prog_type", number(kind & UINT32_MAX));
    fields.emplace_back("owner_jited", boolean(jit));
  }
  return object(fields);
}

std::string maps_json(const bpf::ObjectTable& objects, bool jit) {
  std::string json;
  uint32_t last = 0;
  for (auto map = objects.map_after(0); map && map->id > last; map = objects.map_after(map->id)) {
    last = map->id;
    json += (json.empty() ? "" : ", ") + map_json(*map, jit);
  }
  return "[" + json + "]";
}

std::string port_name(const dataplane::Snapshot& snapshot, uint32_t index) {
  return index < snapshot.ports.size() ? snapshot.ports[index].name : "";
}

std::string action_text(const dataplane::Snapshot& snapshot, const dataplane::Action& action) {
  switch (action.kind) {
    case dataplane::ActionKind::none: return "none";
    case dataplane::ActionKind::forward: return "forward " + port_name(snapshot, action.port);
    case dataplane::ActionKind::reflect: return "reflect";
    case dataplane::ActionKind::drop: return "drop";
  }
  return "none";
}

std::string chain_json(const dataplane::Snapshot& snapshot, const dataplane::ChainSnapshot& chain) {
  const auto program_json = [](const dataplane::ProgramSnapshot& program) {
    return object({{"name", json_string(program.name)},
                   {"run", number(program.counters.run)},
                   {"passed", number(program.counters.passed)},
                   {"trimmed", number(program.counters.trimmed)},
                   {"transmitted", number(program.counters.transmitted)},
                   {"redirected", number(program.counters.redirected)}});
  };
  return object({{"port", json_string(port_name(snapshot, chain.port))},
                 {"action", json_string(action_text(snapshot, chain.action))},
                 {"run_seconds", number(chain.run_seconds)},
                 {"programs", array(chain.programs, program_json)}});
}

std::string status_json(const QuerySources& sources) {
  const auto snapshot = sources.dataplane.snapshot();
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const double seconds = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  return object({{"version", json_string(SLUICE_VERSION)},
                 {"pid", number(static_cast<uint64_t>(::getpid()))},
                 {"configuration", json_string(sources.config.file)},
                 {"uptime_seconds", number(seconds - sources.started_seconds)},
                 {"ports", number(uint64_t{snapshot.ports.size()})},
                 {"workers", number(uint64_t{snapshot.workers.size()})},
                 {"chains", number(uint64_t{snapshot.chains.size()})},
                 {"programs_configured", number(uint64_t{sources.config.programs.size()})},
                 {"jit", boolean(sources.config.jit)}});
}

Result<std::string> trace_from(const TraceLog& trace, std::string_view number) {
  uint64_t first = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), first);
  if (error != std::errc() || end != number.data() + number.size()) {
    return fail(EINVAL, "trace: the number of a line is wanted");
  }
  return trace.since(first);
}

}  // namespace

Result<std::string> answer_query(const QuerySources& sources, std::string_view what) {
  if (what == "status") return status_json(sources);
  if (what == "metrics") return json_string(sources.exposition());
  if (what == "trace") return sources.trace.since(sources.trace.oldest());
  if (what.starts_with("trace ")) return trace_from(sources.trace, what.substr(6));
  if (what == "maps") return maps_json(sources.objects, sources.config.jit);
  const auto snapshot = sources.dataplane.snapshot();
  if (what == "ports") return array(snapshot.ports, port_json);
  if (what == "workers") return array(snapshot.workers, worker_json);
  if (what == "chains")
    return array(snapshot.chains, [&](const auto& chain) { return chain_json(snapshot, chain); });
  return fail(ENOENT, "no query \"" + std::string(what) +
                          "\"; there are chains, maps, metrics, ports, status, trace, workers");
}

}  // namespace sluice::control
