#include "base/limits.hpp"
#include "config/reader.hpp"

namespace sluice::config {

namespace {

constexpr uint32_t kMostRxQueues = kMaxWorkers;

Port read_port(Reader& reader, const YAML::Node& node) {
  Port port;
  reader.mapping(
      node, "port",
      {{"name", [&](const auto& value) { reader.name(value, "port: name", port.name); }, true},
       {"device",
        [&](const auto& value) {
          if (reader.text(value, "port: device", port.device) && port.device.value.empty()) {
            reader.error(port.device.at, "port: device: empty",
                         "a PCI address or a DPDK vdev string");
          }
        },
        true},
       {"rx_queues",
        [&](const auto& value) {
          reader.number(value, "port: rx_queues", 1, kMostRxQueues, port.rx_queues);
        }},
       {"idle_backoff", [&](const auto& value) {
          bool backoff = false;
          if (reader.boolean(value, "port: idle_backoff", backoff)) {
            port.idle_backoff = backoff;
          }
        }}});
  return port;
}

}  // namespace

void read_ports(Reader& reader, const YAML::Node& node, std::vector<Port>& ports) {
  reader.sequence(node, "ports", [&](const YAML::Node& item) {
    Port port = read_port(reader, item);
    for (const auto& other : ports) {
      if (!port.name.value.empty() && other.name.value == port.name.value) {
        reader.error(port.name.at, "port: name \"" + port.name.value + "\" is used twice",
                     "the first is in line " + std::to_string(other.name.at.line));
      }
      if (!port.device.value.empty() && other.device.value == port.device.value) {
        reader.error(port.device.at, "port: device \"" + port.device.value + "\" is used twice",
                     "the first is in line " + std::to_string(other.device.at.line));
      }
    }
    ports.push_back(std::move(port));
  });
  if (ports.size() > kMaxPorts) {
    reader.error(position(node), "ports: more than " + std::to_string(kMaxPorts));
  }
}

}  // namespace sluice::config
