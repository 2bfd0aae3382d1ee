#include "control/report.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace sluice::control {

namespace {

double value_of(const prometheus::MetricFamily& family, const prometheus::ClientMetric& metric) {
  return family.type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value;
}

std::string counters_json(const bpf::ProgramCounters& counters) {
  return "\"run\": " + std::to_string(counters.run) +
         ", \"passed\": " + std::to_string(counters.passed) +
         ", \"dropped\": " + std::to_string(counters.dropped()) +
         ", \"trimmed\": " + std::to_string(counters.trimmed) +
         ", \"transmitted\": " + std::to_string(counters.transmitted) +
         ", \"redirected\": " + std::to_string(counters.redirected);
}

std::vector<std::string> counters_row(const std::string& name,
                                      const bpf::ProgramCounters& counters) {
  return {name,
          std::to_string(counters.run),
          std::to_string(counters.passed),
          std::to_string(counters.dropped()),
          std::to_string(counters.trimmed),
          std::to_string(counters.transmitted),
          std::to_string(counters.redirected)};
}

std::string metrics_json(const std::vector<prometheus::MetricFamily>& metrics) {
  std::string json;
  for (const auto& family : metrics) {
    json += (json.empty() ? "" : ", ") + json_string(family.name) + ": [";
    for (size_t i = 0; i < family.metric.size(); i++) {
      const auto& metric = family.metric[i];
      json += std::string(i == 0 ? "" : ", ") + "{\"labels\": {";
      for (size_t j = 0; j < metric.label.size(); j++) {
        json += (j == 0 ? "" : ", ") + json_string(metric.label[j].name) + ": " +
                json_string(metric.label[j].value);
      }
      json += "}, \"value\": " + fixed(value_of(family, metric), 0) + "}";
    }
    json += "]";
  }
  return "{" + json + "}";
}

}  // namespace

std::string json_string(const std::string& text) {
  std::string json = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (byte < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", byte);
      json += escape;
    } else {
      json += c;
    }
  }
  return json + "\"";
}

std::string format_metric(const prometheus::MetricFamily& family) {
  auto metrics = family.metric;
  std::stable_sort(metrics.begin(), metrics.end(), [&](const auto& left, const auto& right) {
    return value_of(family, left) > value_of(family, right);
  });
  Rows rows;
  for (const auto& metric : metrics) {
    if (value_of(family, metric) == 0) continue;
    std::string labels;
    for (const auto& label : metric.label) labels += (labels.empty() ? "" : " ") + label.value;
    rows.push_back({labels.empty() ? "value" : labels, fixed(value_of(family, metric), 0)});
  }
  if (rows.empty()) rows.push_back({"nothing counted"});
  return family.name + "\n" + format_table(rows);
}

std::string format_replay(const dataplane::ReplayStats& stats,
                          const std::vector<prometheus::MetricFamily>& metrics) {
  const double seconds = std::max(stats.seconds, 1e-9);
  const auto packets = static_cast<double>(stats.packets);
  Rows totals{{"packets", std::to_string(stats.packets)},
              {"bytes", std::to_string(stats.bytes)},
              {"passed", std::to_string(stats.passed)},
              {"dropped", std::to_string(stats.dropped)},
              {"trimmed", std::to_string(stats.trimmed)}};
  if (stats.packets > 0) {
    totals.push_back({"rate", fixed(packets / seconds / 1e6, 3) + " Mpps"});
    totals.push_back({"time a packet", fixed(seconds * 1e9 / packets, 1) + " ns"});
  }
  std::string text = "packets\n" + format_table(totals);
  if (!stats.programs.empty()) {
    Rows programs{{"", "run", "passed", "dropped", "trimmed", "sent back", "redirected"}};
    for (const auto& program : stats.programs)
      programs.push_back(counters_row(program.name, program.counters));
    text += "\nprograms\n" + format_table(programs);
  }
  for (const auto& family : metrics) text += "\n" + format_metric(family);
  return text;
}

std::string format_replay_json(const dataplane::ReplayStats& stats,
                               const std::vector<prometheus::MetricFamily>& metrics) {
  std::string programs;
  for (const auto& program : stats.programs) {
    programs += (programs.empty() ? "" : ", ") + ("{\"name\": " + json_string(program.name)) +
                ", " + counters_json(program.counters) + "}";
  }
  const double packets = static_cast<double>(std::max<uint64_t>(stats.packets, 1));
  return "{\"packets\": " + std::to_string(stats.packets) +
         ", \"bytes\": " + std::to_string(stats.bytes) +
         ", \"captured_bytes\": " + std::to_string(stats.captured_bytes) +
         ", \"passed\": " + std::to_string(stats.passed) +
         ", \"passed_bytes\": " + std::to_string(stats.passed_bytes) +
         ", \"dropped\": " + std::to_string(stats.dropped) +
         ", \"trimmed\": " + std::to_string(stats.trimmed) +
         ", \"seconds\": " + fixed(stats.seconds, 9) +
         ", \"ns_per_packet\": " + fixed(stats.seconds * 1e9 / packets, 2) + ", \"programs\": [" +
         programs + "], \"metrics\": " + metrics_json(metrics) +
         (stats.difference ? ", \"difference\": " + json_string(*stats.difference) : "") + "}\n";
}

std::string format_final(const dataplane::Snapshot& snapshot) {
  std::string text = "final statistics\n";
  if (snapshot.ports.empty()) return text + "  no ports\n";
  Rows ports{{"port", "received", "bytes", "sent", "bytes", "dropped", "trimmed"}};
  for (const auto& port : snapshot.ports) {
    uint64_t dropped = 0;
    uint64_t trimmed = 0;
    for (const auto& queue : port.queues) {
      dropped += queue.dropped_verdict + queue.dropped_action + queue.dropped_tx_full +
                 queue.dropped_no_memory + queue.dropped_redirect;
      trimmed += queue.trimmed;
    }
    ports.push_back({port.name, std::to_string(port.stats.rx_packets),
                     std::to_string(port.stats.rx_bytes), std::to_string(port.stats.tx_packets),
                     std::to_string(port.stats.tx_bytes), std::to_string(dropped),
                     std::to_string(trimmed)});
  }
  text += format_table(ports);
  Rows programs{{"program", "run", "passed", "dropped", "trimmed", "sent back", "redirected"}};
  for (const auto& chain : snapshot.chains) {
    for (const auto& program : chain.programs) {
      programs.push_back(
          counters_row(snapshot.ports[chain.port].name + "/" + program.name, program.counters));
    }
  }
  if (programs.size() > 1) text += format_table(programs);
  return text;
}

}  // namespace sluice::control
