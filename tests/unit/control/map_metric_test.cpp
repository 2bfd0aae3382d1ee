#include "control/map_metric.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "config/parse.hpp"
#include "control/exporter.hpp"

namespace sluice::control {
namespace {

// A configuration whose one metric is described by `body`, over a program p with no maps of its own
// here.
config::Config configure(const std::string& body) {
  auto config = config::parse_config_text(
      "programs: [{name: p, object: /dev/null}]\nmetrics:\n  counters:\n    - " + body + "\n",
      "t.yaml", {});
  EXPECT_TRUE(config) << config.error().text;
  return config ? *config : config::Config{};
}

std::shared_ptr<bpf::Map> make_map(uint32_t type, uint32_t key, uint32_t value, uint32_t entries,
                                   uint32_t slots = 1) {
  bpf::MapSpec spec;
  spec.name = "m";
  spec.type = type;
  spec.key_size = key;
  spec.value_size = value;
  spec.max_entries = entries;
  spec.slots = slots;
  auto map = bpf::Map::create(spec);
  EXPECT_TRUE(map) << map.error().text;
  return *map;
}

std::string render(const config::Config& config, std::shared_ptr<bpf::Map> map) {
  const auto metric = MapMetric::create(config, config.metrics.metrics[0], std::move(map));
  EXPECT_TRUE(metric) << metric.error().text;
  return metric ? render_text({metric->collect()}) : "";
}

const char kProtocols[] =
    "{name: n_total, help: H., map: p/m, labels: [{name: protocol, size: 4, decoders: [{name: "
    "uint}, "
    "{name: static_map, allow_unknown: true, static_map: {1: icmp, 6: tcp}}]}]}";

TEST(MapMetric, AnArrayGivesItsNamedElementsAndThoseThatCounted) {
  const auto config = configure(kProtocols);
  const auto map = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 256);
  for (const auto& [key, value] : {std::pair<uint32_t, uint64_t>{6, 5}, {47, 2}}) {
    ASSERT_EQ(map->update(&key, &value, BPF_ANY), 0);
  }
  EXPECT_EQ(
      render(config, map),
      "# HELP n_total H.\n# TYPE n_total counter\n"
      "n_total{protocol=\"47\"} 2\nn_total{protocol=\"icmp\"} 0\nn_total{protocol=\"tcp\"} 5\n");
}

TEST(MapMetric, ValuesOfAPerCpuMapAreSummed) {
  const auto config = configure(kProtocols);
  const auto map = make_map(BPF_MAP_TYPE_PERCPU_HASH, 4, 4, 8, 3);
  const uint32_t key = 6;
  uint64_t values[3] = {1, 20, 300};
  ASSERT_EQ(map->user_value_size(), sizeof values);
  ASSERT_EQ(map->update(&key, values, BPF_ANY), 0);
  EXPECT_NE(render(config, map).find("n_total{protocol=\"tcp\"} 321\n"), std::string::npos);
}

TEST(MapMetric, LabelsTakeTheKeysBytesInOrderAndSkipPadding) {
  const auto config = configure(
      "{name: n_total, help: H., map: p/m, labels: [{name: a, size: 4, decoders: [{name: "
      "inet_ip}]}, "
      "{name: b, size: 1, padding: 1, decoders: [{name: hex}]}, {name: c, size: 2, decoders: "
      "[{name: uint}]}]}");
  const auto map = make_map(BPF_MAP_TYPE_HASH, 8, 8, 4);
  const uint8_t key[8] = {10, 0, 0, 1, 0xab, 0xee, 0x50, 0};
  const uint64_t value = 7;
  ASSERT_EQ(map->update(key, &value, BPF_ANY), 0);
  EXPECT_NE(render(config, map).find("n_total{a=\"10.0.0.1\",b=\"ab\",c=\"80\"} 7\n"),
            std::string::npos);
}

TEST(MapMetric, KeysThatDecodeAlikeAreOneSeries) {
  const auto config = configure(
      "{name: n_total, help: H., map: p/m, labels: [{name: a, size: 4, decoders: [{name: uint}, "
      "{name: static_map, static_map: {80: web, 443: web}}]}]}");
  const auto map = make_map(BPF_MAP_TYPE_HASH, 4, 8, 4);
  for (const auto& [key, value] : {std::pair<uint32_t, uint64_t>{80, 3}, {443, 4}}) {
    ASSERT_EQ(map->update(&key, &value, BPF_ANY), 0);
  }
  EXPECT_EQ(render(config, map),
            "# HELP n_total H.\n# TYPE n_total counter\nn_total{a=\"web\"} 7\n");
}

TEST(MapMetric, WithoutLabelsAMapOfOneElementIsOneNumber) {
  const auto config = configure("{name: n_total, help: H., map: p/m}");
  const auto map = make_map(BPF_MAP_TYPE_ARRAY, 4, 4, 1);
  EXPECT_EQ(render(config, map), "# HELP n_total H.\n# TYPE n_total counter\nn_total 0\n");
}

TEST(MapMetric, AMapOfAnotherShapeIsAnErrorAtTheMetricsLine) {
  const auto error = [](const config::Config& config, std::shared_ptr<bpf::Map> map) {
    const auto metric = MapMetric::create(config, config.metrics.metrics[0], std::move(map));
    return metric ? "" : metric.error().text;
  };
  EXPECT_EQ(error(configure(kProtocols), make_map(BPF_MAP_TYPE_HASH, 8, 8, 4)),
            "t.yaml:4:38: metric n_total: map p/m: the labels' sizes add up to 4 bytes, but the "
            "key has 8");
  EXPECT_EQ(error(configure(kProtocols), make_map(BPF_MAP_TYPE_HASH, 4, 12, 4)),
            "t.yaml:4:38: metric n_total: map p/m: a value of 12 bytes is not a number (1, 2, 4 or "
            "8 bytes are)");
  EXPECT_EQ(error(configure("{name: n_total, help: H., map: p/m}"),
                  make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 2)),
            "t.yaml:4:38: metric n_total: map p/m: no labels, but 2 elements (describe the key "
            "under labels)");
}

}  // namespace
}  // namespace sluice::control
