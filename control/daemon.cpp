#include "control/daemon.hpp"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>

#include <cstdio>
#include <optional>
#include <set>

#include "base/bus_error.hpp"
#include "base/log.hpp"
#include "base/unique_fd.hpp"
#include "config/parse.hpp"
#include "control/access.hpp"
#include "control/api_server.hpp"
#include "control/chains.hpp"
#include "control/exporter.hpp"
#include "control/grace_queue.hpp"
#include "control/programs.hpp"
#include "control/queries.hpp"
#include "control/readiness.hpp"
#include "control/report.hpp"
#include "control/trace_log.hpp"
#include "dataplane/dataplane.hpp"
#include "dataplane/eal.hpp"

namespace sluice::control {

namespace {

constexpr int kTickMilliseconds = 50;

unsigned first_allowed_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &set)) return cpu;
  }
  return 0;
}

std::vector<unsigned> worker_cores(const config::Config& config) {
  if (config.eal.cores.empty()) return {first_allowed_cpu()};
  return {config.eal.cores.begin(), config.eal.cores.end()};
}

cpu_set_t allowed_cpus() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  ::sched_getaffinity(0, sizeof allowed, &allowed);
  return allowed;
}

// Threads and processes made after this by the calling thread stay off the workers' cores, where
// others are allowed.
void leave_worker_cores(cpu_set_t allowed, const config::Config& config) {
  const cpu_set_t all = allowed;
  for (const unsigned core : worker_cores(config)) CPU_CLR(core, &allowed);
  ::sched_setaffinity(0, sizeof allowed, CPU_COUNT(&allowed) > 0 ? &allowed : &all);
}

dataplane::EalSpec eal_spec(const config::Config& config) {
  dataplane::EalSpec spec;
  spec.cores = worker_cores(config);
  if (config.eal.memory_mb != 0) spec.memory_mb = config.eal.memory_mb;
  switch (config.eal.hugepages) {
    case config::Hugepages::automatic:
      spec.hugepages = dataplane::EalSpec::Hugepages::automatic;
      break;
    case config::Hugepages::always: spec.hugepages = dataplane::EalSpec::Hugepages::always; break;
    case config::Hugepages::never: spec.hugepages = dataplane::EalSpec::Hugepages::never; break;
  }
  for (const auto& port : config.ports) {
    if (dataplane::is_pci_address(port.device.value)) spec.pci_devices.push_back(port.device.value);
  }
  spec.extra_args = config.eal.extra_args;
  return spec;
}

dataplane::DataplaneSpec dataplane_spec(const config::Config& config) {
  dataplane::DataplaneSpec spec;
  spec.cores = worker_cores(config);
  for (const auto& port : config.ports) {
    dataplane::PortSpec made;
    made.name = port.name.value;
    made.origin = config.place(port.device.at);
    made.device = port.device.value;
    made.rx_queues = static_cast<uint16_t>(port.rx_queues);
    made.ifindex = static_cast<uint32_t>(spec.ports.size() + 1);
    made.idle_backoff = port.idle_backoff;
    spec.ports.push_back(std::move(made));
  }
  return spec;
}

// SIGINT and SIGTERM as a descriptor. Blocked before any thread is made, so that no other thread
// takes them.
Result<UniqueFd> open_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (const int code = pthread_sigmask(SIG_BLOCK, &signals, nullptr); code != 0) {
    return fail(errno_error(code, "block signals"));
  }
  UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail(errno_error(errno, "signalfd"));
  return fd;
}

class Daemon {
 public:
  Daemon(const config::Config& config, CompileServer* compiler)
      : config_(config), compiler_(compiler) {}
  // Also of one that did not start: maps let go of what they hold after the data plane has gone.
  ~Daemon() {
    if (dataplane_ != nullptr) dataplane_->stop();
    grace_.follow(nullptr);
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  Status start();
  void serve(int signals);
  void stop();

 private:
  Status open_ports();
  Status listen();
  Result<std::optional<SocketListener>> take_socket();
  Status serve_api(SocketListener listener);
  void report_broken_maps();
  [[nodiscard]] std::vector<prometheus::MetricFamily> collect() const;

  // In order of dependence: workers run the programs' code, the exporter reads both.
  const config::Config& config_;
  CompileServer* compiler_;
  GraceQueue grace_;
  std::unique_ptr<Programs> programs_;
  std::vector<MapMetric> metrics_;
  std::optional<dataplane::Eal> eal_;
  std::unique_ptr<dataplane::Dataplane> dataplane_;
  std::unique_ptr<Chains> chains_;
  std::unique_ptr<Exporter> exporter_;
  TraceLog trace_;
  std::unique_ptr<ApiServer> api_;
  uint64_t bus_errors_ = 0;          // as last looked at
  std::set<uint32_t> broken_maps_;   // ids that the log has
};

Status Daemon::start() {
  auto programs = Programs::load(config_, compiler_, &grace_, Pins::used);
  if (!programs) return fail(std::move(programs.error()));
  programs_ = std::move(*programs);
  auto metrics = make_map_metrics(config_, *programs_);
  if (!metrics) return fail(std::move(metrics.error()));
  metrics_ = std::move(*metrics);
  if (auto status = open_ports(); !status) return status;
  chains_ = std::make_unique<Chains>(config_, *programs_, *dataplane_);
  if (auto status = chains_->attach_configured(); !status) return status;
  programs_->surface().attach_pinned();
  if (auto status = dataplane_->start(); !status) return status;
  if (auto status = listen(); !status) return status;
  auto listener = take_socket();
  if (!listener) return fail(std::move(listener.error()));
  // When nothing else can be refused any more: who does not start leaves pins as they were.
  if (auto status = programs_->pin(config_); !status) return status;
  return *listener ? serve_api(std::move(**listener)) : Status();
}

Status Daemon::open_ports() {
  if (!config_.ports.empty()) {
    const cpu_set_t allowed = allowed_cpus();
    auto eal = dataplane::Eal::init(eal_spec(config_));
    leave_worker_cores(allowed, config_);  // EAL has put this thread on one
    if (!eal) return fail(std::move(eal.error()).in(config_.file));
    eal_.emplace(std::move(*eal));
  }
  auto dataplane = dataplane::Dataplane::create(dataplane_spec(config_));
  if (!dataplane) return fail(std::move(dataplane.error()));
  dataplane_ = std::move(*dataplane);
  grace_.follow(dataplane_.get());
  return {};
}

std::vector<prometheus::MetricFamily> Daemon::collect() const {
  return collect_all(*programs_, metrics_, [this](Families& families) {
    add_dataplane_series(families, dataplane_->snapshot());
  });
}

Result<std::optional<SocketListener>> Daemon::take_socket() {
  if (!config_.api) return std::nullopt;
  const auto owner = owner_of(config_, *config_.api);
  if (!owner) return fail(owner.error());
  auto listener =
      SocketListener::open({config_.api->path, config_.api->mode, owner->uid, owner->gid});
  if (listener) return std::optional(std::move(*listener));
  return fail(listener.error().code,
              config_.message(config_.api->at, "api: " + listener.error().text));
}

// Last of all: who connects is answered when everything is there.
Status Daemon::serve_api(SocketListener listener) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const double started = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
  ApiOptions options;
  if (config_.pins) options.pin_directory = config_.pins->path;
  options.query = [this, started](std::string_view what) {
    return answer_query({config_, *dataplane_, programs_->surface().objects(),
                         [this] { return render_text(collect()); }, trace_, started}, what);
  };
  auto api = ApiServer::start(programs_->surface(), std::move(listener), std::move(options));
  if (!api)
    return fail(api.error().code, config_.message(config_.api->at, "api: " + api.error().text));
  api_ = std::move(*api);
  log_info("api: " + config_.api->path);
  return {};
}

Status Daemon::listen() {
  if (!config_.metrics.listen) return {};
  const auto& listen = *config_.metrics.listen;
  auto exporter = Exporter::start(listen.value, [this] { return collect(); });
  if (!exporter)
    return fail(exporter.error().code, config_.message(listen.at, exporter.error().text));
  exporter_ = std::move(*exporter);
  const std::string address = listen.value.substr(0, listen.value.rfind(':'));
  log_info("metrics: http://" + address + ":" + std::to_string(exporter_->port()) + "/metrics");
  return {};
}

void Daemon::report_broken_maps() {
  const uint64_t seen = bus_errors();
  if (seen == bus_errors_) return;
  bus_errors_ = seen;
  auto& objects = programs_->surface().objects();
  for (auto map = objects.map_after(0); map != nullptr; map = objects.map_after(map->id)) {
    const FileLoss loss = map->map->file_loss();
    if (loss == FileLoss::none || !broken_maps_.insert(map->id).second) continue;
    const char* what = loss == FileLoss::truncated
                           ? ": its file in the pin directory was truncated: what was lost reads "
                             "as zeros. Remove its pins and make it anew"
                           : ": the file system of the pin directory is full: what found no room "
                             "is in this daemon's memory alone, and the next one reads zeros or "
                             "sets the map aside. Make room, remove its pins and make it anew";
    log_error("map " + map->map->spec().name + ", id " + std::to_string(map->id) + what);
  }
}

void Daemon::serve(int signals) {
  pollfd waiting{signals, POLLIN, 0};
  for (;;) {
    grace_.reclaim();
    report_broken_maps();
    trace_.drain([this](std::string& line) { return dataplane_->take_trace(line); });
    if (::poll(&waiting, 1, kTickMilliseconds) <= 0) continue;
    signalfd_siginfo info{};
    if (::read(signals, &info, sizeof info) != sizeof info) continue;
    log_info(info.ssi_signo == SIGINT ? "SIGINT: stopping" : "SIGTERM: stopping");
    return;
  }
}

void Daemon::stop() {
  api_.reset();
  exporter_.reset();
  dataplane_->stop();
  grace_.follow(nullptr);
  trace_.drain([this](std::string& line) { return dataplane_->take_trace(line); });
  std::fputs(format_final(dataplane_->snapshot()).c_str(), stdout);
  for (const auto& metric : metrics_) std::fputs(format_metric(metric.collect()).c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace

Status run_daemon(const config::Config& config) {
  // First, while there are no threads: programs of other processes are compiled in processes that
  // may die.
  std::unique_ptr<CompileServer> compiler;
  if (config.jit && config.api) {
    const cpu_set_t allowed = allowed_cpus();
    if (!config.ports.empty()) leave_worker_cores(allowed, config);
    auto started = CompileServer::start();
    ::sched_setaffinity(0, sizeof allowed, &allowed);
    if (!started) return fail(std::move(started.error()));
    compiler = std::move(*started);
  }
  auto signals = open_signals();
  if (!signals) return fail(std::move(signals.error()));
  Daemon daemon(config, compiler.get());
  if (auto status = daemon.start(); !status) return status;
  log_info("ready: " + std::to_string(config.ports.size()) + " ports, " +
           std::to_string(config.programs.size()) + " programs");
  notify_service_manager("READY=1");
  daemon.serve(signals->get());
  notify_service_manager("STOPPING=1");
  daemon.stop();
  return {};
}

}  // namespace sluice::control
