#include "control/map_metric.hpp"

#include <cstring>
#include <map>
#include <vector>

#include "control/decode.hpp"

namespace sluice::control {

namespace {

constexpr uint32_t kPerCpuAlignment = 8;

bool is_array(uint32_t type) {
  return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

uint64_t read_number(const uint8_t* at, uint32_t size) {
  uint64_t value = 0;
  std::memcpy(&value, at, size);
  return value;
}

// One element's number; the slots of a per-CPU value are summed.
uint64_t element_value(const bpf::MapSpec& spec, const std::vector<uint8_t>& value) {
  if (!bpf::is_per_cpu(spec.type)) return read_number(value.data(), spec.value_size);
  const uint32_t stride =
      (spec.value_size + kPerCpuAlignment - 1) / kPerCpuAlignment * kPerCpuAlignment;
  uint64_t sum = 0;
  for (size_t at = 0; at + stride <= value.size(); at += stride)
    sum += read_number(&value[at], spec.value_size);
  return sum;
}

std::vector<prometheus::ClientMetric::Label> decode_labels(const config::Metric& metric,
                                                           const std::vector<uint8_t>& key,
                                                           bool& known) {
  std::vector<prometheus::ClientMetric::Label> labels;
  size_t at = 0;
  for (const auto& label : metric.labels) {
    prometheus::ClientMetric::Label made;
    made.name = label.name.value;
    made.value = decode_label(label, std::span(key).subspan(at, label.size), known);
    labels.push_back(std::move(made));
    at += label.size + label.padding;
  }
  return labels;
}

}  // namespace

Result<MapMetric> MapMetric::create(const config::Config& config, const config::Metric& metric,
                                    std::shared_ptr<bpf::Map> map) {
  const bpf::MapSpec& spec = map->spec();
  const std::string name = "metric " + metric.name.value + ": map " + metric.map.value + ": ";
  uint32_t label_bytes = 0;
  for (const auto& label : metric.labels) label_bytes += label.size + label.padding;
  if (metric.labels.empty() && spec.max_entries != 1) {
    return fail(EINVAL, config.message(metric.map.at,
                                       name + "no labels, but " + std::to_string(spec.max_entries) +
                                           " elements (describe the key under labels)"));
  }
  if (!metric.labels.empty() && label_bytes != spec.key_size) {
    return fail(EINVAL,
                config.message(metric.map.at,
                               name + "the labels' sizes add up to " + std::to_string(label_bytes) +
                                   " bytes, but the key has " + std::to_string(spec.key_size)));
  }
  const uint32_t size = spec.value_size;
  if (size != 1 && size != 2 && size != 4 && size != 8) {
    return fail(EINVAL, config.message(metric.map.at,
                                       name + "a value of " + std::to_string(size) +
                                           " bytes is not a number (1, 2, 4 or 8 bytes are)"));
  }
  return MapMetric(metric, std::move(map));
}

prometheus::MetricFamily MapMetric::collect() const {
  prometheus::MetricFamily family;
  family.name = metric_->name.value;
  family.help = metric_->help;
  family.type = metric_->counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
  const bpf::MapSpec& spec = map_->spec();
  std::vector<uint8_t> key(spec.key_size);
  std::vector<uint8_t> next(spec.key_size);
  std::vector<uint8_t> value(map_->user_value_size());
  // Keys that decode to the same labels are one series: the exposition may name each only once.
  std::map<std::vector<std::string>, prometheus::ClientMetric> series;
  const void* from = nullptr;
  // A map that programs change meanwhile could lead us round and round; each element is owed one
  // visit.
  uint64_t left = spec.max_entries;
  for (; left > 0 && map_->next_key(from, next.data()) == 0; left--) {
    key.swap(next);
    from = key.data();
    if (map_->lookup(key.data(), value.data()) != 0) continue;  // deleted in between
    const uint64_t number = element_value(spec, value);
    bool known = metric_->labels.empty();
    auto labels = decode_labels(*metric_, key, known);
    // An array has all its elements from the start: of those that never counted, only the named
    // ones are of interest.
    if (is_array(spec.type) && number == 0 && !known) continue;
    std::vector<std::string> identity;
    for (const auto& label : labels) identity.push_back(label.value);
    auto& metric = series[identity];
    metric.label = std::move(labels);
    (metric_->counter ? metric.counter.value : metric.gauge.value) += static_cast<double>(number);
  }
  for (auto& [identity, metric] : series) family.metric.push_back(std::move(metric));
  return family;
}

}  // namespace sluice::control
