#include "control/exporter.hpp"

#include <CivetServer.h>
#include <netdb.h>
#include <prometheus/exposer.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <thread>

#include "base/unique_fd.hpp"
#include "control/pins.hpp"

namespace sluice::control {

namespace {

class Collector final : public prometheus::Collectable {
 public:
  explicit Collector(std::function<std::vector<prometheus::MetricFamily>()> collect)
      : collect_(std::move(collect)) {}
  std::vector<prometheus::MetricFamily> Collect() const override { return collect_(); }

 private:
  std::function<std::vector<prometheus::MetricFamily>()> collect_;
};

// civetweb asks this first: 0 leaves the request to prometheus-cpp's handlers.
int answer_health(mg_connection* connection) {
  const char* uri = mg_get_request_info(connection)->local_uri;
  const char* text = nullptr;
  if (std::strcmp(uri, "/-/healthy") == 0) text = "sluice is healthy.\n";
  if (std::strcmp(uri, "/-/ready") == 0) text = "sluice is ready.\n";
  if (text == nullptr) return 0;
  mg_printf(connection,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
            "Connection: close\r\n\r\n%s",
            std::strlen(text), text);
  return 200;
}

// A map by its pin's path: the daemon's alone, since others leave pins be.
template <class Report>
void add_pinned(const config::Config& config, const Programs& programs,
                const config::Metric& metric, std::vector<MapMetric>* metrics,
                const Report& report) {
  if (!programs.surface().objects().pins().is_open()) return;
  auto map = pinned_map(config, programs.surface(), metric.map.value);
  if (!map)
    return report(
        config.message(metric.map.at, "metric " + metric.name.value + ": " + map.error().text));
  auto made = MapMetric::create(config, metric, std::move(*map));
  if (!made) return report(made.error().text);
  metrics->push_back(std::move(*made));
}

// Connects to "address:port" and hangs up. A name that resolves to nothing is no matter.
void knock(const std::string& listen, int port) {
  std::string host = listen.substr(0, listen.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &wanted,
                    &found) != 0)
    return;
  const UniqueFd socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket) (void)::connect(socket.get(), found->ai_addr, found->ai_addrlen);
  ::freeaddrinfo(found);
}

}  // namespace

Result<std::vector<MapMetric>> make_map_metrics(const config::Config& config,
                                                const Programs& programs) {
  std::vector<MapMetric> metrics;
  std::string errors;
  const auto report = [&](const std::string& text) {
    errors += (errors.empty() ? "" : "\n") + text;
  };
  for (const auto& metric : config.metrics.metrics) {
    if (metric.program.empty()) {
      add_pinned(config, programs, metric, &metrics, report);
      continue;
    }
    const ProgramEntry* entry = programs.find(metric.program);
    if (entry == nullptr) continue;  // the parser has refused it
    const auto map = entry->loaded.maps.find(metric.map_name);
    if (map == entry->loaded.maps.end()) {
      std::string has;
      for (const auto& [name, unused] : entry->loaded.maps) has += (has.empty() ? "" : ", ") + name;
      report(config.message(metric.map.at, "metric " + metric.name.value + ": program " +
                                               metric.program + " has no map \"" + metric.map_name +
                                               "\" (it has: " + (has.empty() ? "none" : has) +
                                               ")"));
      continue;
    }
    auto made = MapMetric::create(config, metric, map->second);
    if (made) {
      metrics.push_back(std::move(*made));
    } else {
      report(made.error().text);
    }
  }
  if (!errors.empty()) return fail(EINVAL, errors);
  return metrics;
}

std::vector<prometheus::MetricFamily> collect_all(const Programs& programs,
                                                  const std::vector<MapMetric>& metrics,
                                                  const AddSeries& more) {
  Families families;
  for (const auto& metric : metrics) families.add(metric.collect());
  add_build_info(families);
  more(families);
  add_program_series(families, programs);
  add_map_series(families, programs);
  return families.take();
}

std::string render_text(const std::vector<prometheus::MetricFamily>& families) {
  return prometheus::TextSerializer().Serialize(families);
}

Exporter::Exporter() = default;

// civetweb looks at its order to stop only when a connection comes, or every 2 s: we knock until it
// has.
Exporter::~Exporter() {
  if (exposer_ == nullptr) return;
  const int number = port();
  std::atomic<bool> stopped{false};
  std::thread stopping([&] {
    exposer_.reset();
    stopped = true;
  });
  while (!stopped) {
    knock(listen_, number);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  stopping.join();
}

Result<std::unique_ptr<Exporter>> Exporter::start(
    const std::string& listen, std::function<std::vector<prometheus::MetricFamily>()> collect) {
  std::unique_ptr<Exporter> exporter(new Exporter);
  exporter->listen_ = listen;
  exporter->collector_ = std::make_shared<Collector>(std::move(collect));
  CivetCallbacks callbacks{};
  callbacks.begin_request = answer_health;
  try {  // the library reports a taken port by an exception
    exporter->exposer_ = std::make_unique<prometheus::Exposer>(listen, 2, &callbacks);
    exporter->exposer_->RegisterCollectable(exporter->collector_);
  } catch (const std::exception&) {  // its words do not say why
    return fail(EADDRINUSE, "metrics: cannot listen on " + listen +
                                " (is the address taken, or not of this machine?)");
  }
  return exporter;
}

int Exporter::port() const {
  const std::vector<int> ports = exposer_->GetListeningPorts();
  return ports.empty() ? 0 : ports[0];
}

}  // namespace sluice::control
