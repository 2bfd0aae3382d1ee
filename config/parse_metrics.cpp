#include <algorithm>

#include "base/limits.hpp"
#include "config/reader.hpp"

namespace sluice::config {

namespace {

// prometheus.io/docs/concepts/data_model: names of metrics (with colons) and labels (without).
bool is_metric_name(const std::string& name, bool colons) {
  const auto allowed = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (colons && c == ':');
  };
  return !name.empty() && (name[0] < '0' || name[0] > '9') &&
         std::all_of(name.begin(), name.end(), allowed);
}

void read_static_map(Reader& reader, const YAML::Node& node, Decoder& decoder) {
  if (!node.IsMap()) {
    reader.error(position(node), "static_map: expected a mapping from decoded value to label");
    return;
  }
  for (const auto& entry : node) {
    const YAML::Node& key = entry.first;
    const YAML::Node& value = entry.second;
    std::string from;
    std::string to;
    if (!reader.text(key, "static_map: key", from) ||
        !reader.text(value, "static_map: " + from, to))
      continue;
    if (!decoder.static_map.emplace(from, to).second) {
      reader.error(position(key), "static_map: \"" + from + "\" is given twice",
                   "remove one of them");
    }
  }
}

// The decoder's name must be read first, whatever the order of the keys, to judge the others.
void read_decoder(Reader& reader, const YAML::Node& node, bool first, Label& label) {
  Decoder decoder;
  Position map_at;
  bool known = false;
  reader.mapping(node, "decoder",
                 {{"name",
                   [&](const auto& value) {
                     known = reader.choice<Decode>(value, "decoder: name",
                                                   {{"uint", Decode::uint},
                                                    {"hex", Decode::hex},
                                                    {"string", Decode::string},
                                                    {"inet_ip", Decode::inet_ip},
                                                    {"static_map", Decode::static_map}},
                                                   decoder.kind);
                   },
                   true},
                  {"static_map",
                   [&](const auto& value) {
                     map_at = position(value);
                     read_static_map(reader, value, decoder);
                   }},
                  {"allow_unknown", [&](const auto& value) {
                     reader.boolean(value, "decoder: allow_unknown", decoder.allow_unknown);
                   }}});
  if (!known) return;
  const bool maps = decoder.kind == Decode::static_map;
  if (maps && map_at.line == 0) reader.error(position(node), "decoder: \"static_map\" is missing");
  if (!maps && map_at.line != 0)
    reader.error(map_at, "decoder: static_map belongs to the decoder of that name");
  if (maps == first) {
    reader.error(position(node), maps ? "decoder: static_map cannot be the first, it maps text"
                                      : "decoder: only static_map can follow another decoder",
                 "decoders: [{name: uint}, {name: static_map, static_map: {6: tcp}}]");
  }
  label.decoders.push_back(std::move(decoder));
}

void check_label(Reader& reader, const YAML::Node& node, const Label& label) {
  if (label.name.at.line != 0 &&
      (!is_metric_name(label.name.value, false) || label.name.value.starts_with("__"))) {
    reader.error(label.name.at, "label: \"" + label.name.value + "\" is not a label name",
                 "letters, digits and _, no digit first, no __ first");
  }
  if (label.decoders.empty() || label.size == 0) return;
  const Decode kind = label.decoders[0].kind;
  const uint32_t size = label.size;
  if (kind == Decode::uint && size != 1 && size != 2 && size != 4 && size != 8) {
    reader.error(position(node), "label " + label.name.value +
                                     ": uint decodes 1, 2, 4 or 8 bytes, not " +
                                     std::to_string(size));
  }
  if (kind == Decode::inet_ip && size != 4 && size != 16) {
    reader.error(position(node), "label " + label.name.value +
                                     ": inet_ip decodes 4 or 16 bytes, not " +
                                     std::to_string(size));
  }
}

Label read_label(Reader& reader, const YAML::Node& node) {
  Label label;
  reader.mapping(
      node, "label",
      {{"name", [&](const auto& value) { reader.text(value, "label: name", label.name); }, true},
       {"size",
        [&](const auto& value) { reader.number(value, "label: size", 1, kMaxKeySize, label.size); },
        true},
       {"padding",
        [&](const auto& value) {
          reader.number(value, "label: padding", 0, kMaxKeySize, label.padding);
        }},
       {"decoders",
        [&](const auto& value) {
          bool first = true;
          reader.sequence(value, "label: decoders", [&](const YAML::Node& item) {
            read_decoder(reader, item, first, label);
            first = false;
          });
          if (first && value.IsSequence())
            reader.error(position(value), "label: decoders: the list is empty");
        },
        true}});
  check_label(reader, node, label);
  return label;
}

void read_labels(Reader& reader, const YAML::Node& node, Metric& metric) {
  reader.sequence(node, "metric: labels", [&](const YAML::Node& item) {
    Label label = read_label(reader, item);
    for (const auto& other : metric.labels) {
      if (label.name.value.empty() || other.name.value != label.name.value) continue;
      reader.error(label.name.at,
                   "label: name \"" + label.name.value + "\" is used twice in this metric");
    }
    metric.labels.push_back(std::move(label));
  });
}

void read_map(Reader& reader, const YAML::Node& node, Metric& metric) {
  if (!reader.text(node, "metric: map", metric.map)) return;
  const std::string& path = metric.map.value;
  if (path.starts_with('/')) {
    metric.map_name = path;
    return;
  }
  const size_t slash = path.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == path.size()) {
    reader.error(metric.map.at, "metric: map \"" + path + "\" does not name a map",
                 "PROGRAM/MAP, or a pin path from /");
    metric.map.value.clear();
    return;
  }
  metric.program = path.substr(0, slash);
  metric.map_name = path.substr(slash + 1);
}

void read_list(Reader& reader, const YAML::Node& node, const std::string& what, bool counter,
               Metrics& metrics) {
  reader.sequence(node, what, [&](const YAML::Node& item) {
    Metric metric;
    metric.counter = counter;
    reader.mapping(
        item, "metric",
        {{"name", [&](const auto& value) { reader.text(value, "metric: name", metric.name); },
          true},
         {"help", [&](const auto& value) { reader.text(value, "metric: help", metric.help); },
          true},
         {"map", [&](const auto& value) { read_map(reader, value, metric); }, true},
         {"labels", [&](const auto& value) { read_labels(reader, value, metric); }}});
    metrics.metrics.push_back(std::move(metric));
  });
}

void read_listen(Reader& reader, const YAML::Node& node, Metrics& metrics) {
  Text listen;
  if (!reader.text(node, "metrics: listen", listen)) return;
  const size_t colon = listen.value.rfind(':');
  const std::string port = colon == std::string::npos ? "" : listen.value.substr(colon + 1);
  const bool digits = !port.empty() && port.size() <= 5 &&
                      port.find_first_not_of("0123456789") == std::string::npos;
  if (colon == std::string::npos || colon == 0 || !digits || std::stoul(port) > 65535) {
    reader.error(listen.at, "metrics: listen: \"" + listen.value + "\" is not ADDRESS:PORT",
                 "as in 127.0.0.1:9435; port 0 takes a free one");
    return;
  }
  metrics.listen = std::move(listen);
}

}  // namespace

void read_metrics(Reader& reader, const YAML::Node& node, Metrics& metrics) {
  reader.mapping(
      node, "metrics",
      {{"listen", [&](const auto& value) { read_listen(reader, value, metrics); }},
       {"counters",
        [&](const auto& value) { read_list(reader, value, "metrics: counters", true, metrics); }},
       {"gauges",
        [&](const auto& value) { read_list(reader, value, "metrics: gauges", false, metrics); }}});
}

void check_metrics(Reader& reader, Config& config) {
  const auto& metrics = config.metrics.metrics;
  for (size_t i = 0; i < metrics.size(); i++) {
    const Metric& metric = metrics[i];
    if (metric.name.at.line != 0 && !is_metric_name(metric.name.value, true)) {
      reader.error(metric.name.at, "metric: \"" + metric.name.value + "\" is not a metric name",
                   "letters, digits, _ and :, no digit first");
    }
    if (metric.name.value.starts_with("sluice_")) {
      reader.error(metric.name.at, "metric: names that begin with sluice_ are sluice's own");
    }
    for (size_t j = 0; j < i; j++) {
      if (metric.name.value.empty() || metrics[j].name.value != metric.name.value) continue;
      reader.error(metric.name.at, "metric: name \"" + metric.name.value + "\" is used twice",
                   "the first is in line " + std::to_string(metrics[j].name.at.line));
    }
    if (metric.program.empty()) continue;
    const Program* program = config.find_program(metric.program);
    if (program == nullptr) {
      std::vector<std::string> names;
      for (const auto& each : config.programs) names.push_back(each.name.value);
      std::string hint = did_you_mean(metric.program, names);
      if (hint.empty()) hint = "add it to programs";
      reader.error(metric.map.at, "metric: no program \"" + metric.program + "\"", hint);
    } else if (program->filter) {
      reader.error(metric.map.at,
                   "metric: program \"" + metric.program + "\" is a filter and has no maps");
    }
  }
}

}  // namespace sluice::config
