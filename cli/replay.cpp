#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "bpf/helpers/trace.hpp"
#include "cli/messages.hpp"
#include "cli/verbs.hpp"
#include "config/parse.hpp"
#include "control/exporter.hpp"
#include "control/report.hpp"
#include "control/trace_log.hpp"
#include "dataplane/mbuf_layout.hpp"
#include "dataplane/replay.hpp"

namespace sluice::cli {

namespace {

struct Arguments {
  std::vector<std::string> files;  // [CONFIG] CAPTURE
  std::string filter;
  bool has_filter = false;
  std::string write;
  std::string expect;
  std::string port;
  uint32_t loops = 1;
  bool metrics = false;
  bool json = false;
};

// The signal handler's only way to reach the replay.
std::atomic<bool> interrupted{false};  // handler: set, replay: ro

void stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted.store(true, std::memory_order_relaxed); };
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // a second one ends the process at once
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction former {};
  sigaction(SIGHUP, nullptr, &former);
  if (former.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);  // nohup(1) means it
}

// What a replay runs: the chain of a configuration's attach, or of one expression.
struct Setup {
  config::Config config;
  std::unique_ptr<control::Programs> programs;
  std::vector<control::MapMetric> metrics;
  dataplane::Chain chain;
  std::string port = "replay";
  uint32_t ifindex = 1;
};

Result<const config::Attach*> choose_attach(const config::Config& config, const std::string& port) {
  if (port.empty()) {
    if (config.attach.empty())
      return fail(EINVAL, config.file + ": no attach, so there is no chain to replay");
    return &config.attach[0];
  }
  for (const auto& attach : config.attach) {
    if (attach.port.value == port) return &attach;
  }
  return fail(EINVAL, config.file + ": no attach to a port \"" + port + "\"");
}

Result<std::unique_ptr<Setup>> set_up_config(const std::string& path, const std::string& port) {
  auto setup = std::make_unique<Setup>();
  auto config = config::parse_config(path);
  if (!config) return fail(std::move(config.error()));
  setup->config = std::move(*config);
  const auto attach = choose_attach(setup->config, port);
  if (!attach) return fail(attach.error());
  auto programs = control::Programs::load(setup->config);
  if (!programs) return fail(std::move(programs.error()));
  setup->programs = std::move(*programs);
  auto metrics = control::make_map_metrics(setup->config, *setup->programs);
  if (!metrics) return fail(std::move(metrics.error()));
  setup->metrics = std::move(*metrics);
  auto chain =
      setup->programs->make_chain(control::chain_names(**attach), dataplane::kReplayLayout);
  if (!chain)
    return fail(chain.error().code, setup->config.message((*attach)->at, chain.error().text));
  setup->chain = std::move(*chain);
  setup->port = (*attach)->port.value;
  setup->ifindex =
      static_cast<uint32_t>(setup->config.find_port(setup->port) - setup->config.ports.data()) + 1;
  return setup;
}

Result<std::unique_ptr<Setup>> set_up_filter(const std::string& expression) {
  auto setup = std::make_unique<Setup>();
  auto programs = control::Programs::load_expression(expression, true);
  if (!programs) return fail(std::move(programs.error()));
  setup->programs = std::move(*programs);
  auto chain = setup->programs->make_chain({"filter"}, dataplane::kReplayLayout);
  if (!chain) return fail(std::move(chain.error()));
  setup->chain = std::move(*chain);
  return setup;
}

void print_progress(const dataplane::ReplayProgress& progress) {
  std::fprintf(stderr, "\r%llu packets", static_cast<unsigned long long>(progress.packets));
  if (progress.file_bytes > 0) {
    std::fprintf(stderr, ", %3llu %%",
                 static_cast<unsigned long long>(progress.read_bytes * 100 / progress.file_bytes));
  }
  if (progress.round > 0) std::fprintf(stderr, ", round %u", progress.round + 1);
  std::fputs("  ", stderr);
  std::fflush(stderr);
}

void print_results(const Arguments& arguments, const Setup& setup,
                   const dataplane::ReplayStats& stats) {
  // With the capture on standard output the words go elsewhere.
  FILE* out = arguments.write == "-" ? stderr : stdout;
  std::vector<prometheus::MetricFamily> families;
  for (const auto& metric : setup.metrics) families.push_back(metric.collect());
  if (arguments.metrics) {
    const auto more = [&](control::Families& all) {
      for (const auto& program : stats.programs) {
        control::add_program_counters(all, setup.port, program.name, program.counters);
      }
    };
    const auto exposition = control::collect_all(*setup.programs, setup.metrics, more);
    std::fputs(control::render_text(exposition).c_str(), out);
  } else if (arguments.json) {
    std::fputs(control::format_replay_json(stats, families).c_str(), out);
  } else {
    std::fputs(control::format_replay(stats, families).c_str(), out);
  }
}

Status replay(const Arguments& arguments) {
  auto setup = arguments.has_filter ? set_up_filter(arguments.filter)
                                    : set_up_config(arguments.files[0], arguments.port);
  if (!setup) return fail(std::move(setup.error()));
  const auto trace = std::make_unique<bpf::TraceSink>();
  control::TraceLog trace_log;
  const bool terminal = isatty(STDERR_FILENO) == 1;
  bool progress_shown = false;
  dataplane::ReplayRequest request;
  request.capture = arguments.files.back();
  request.chain = (*setup)->chain;
  if (!arguments.write.empty()) request.write = arguments.write;
  if (!arguments.expect.empty()) request.expect = arguments.expect;
  request.loops = arguments.loops;
  request.ifindex = (*setup)->ifindex;
  request.ports = std::max<uint32_t>(static_cast<uint32_t>((*setup)->config.ports.size()), 1);
  request.trace = trace.get();
  request.stop = &interrupted;
  request.progress = [&](const dataplane::ReplayProgress& progress) {
    trace_log.drain([&](std::string& line) { return trace->take(line); });
    if (!terminal) return;
    progress_shown = true;
    print_progress(progress);
  };
  stop_on_signals();
  const auto stats = dataplane::replay(request);
  if (progress_shown) std::fputs("\r\033[K", stderr);
  trace_log.drain([&](std::string& line) { return trace->take(line); });
  if (!stats) return fail(stats.error());
  print_results(arguments, **setup, *stats);
  if (stats->difference)
    return fail(EBADMSG, "expect " + arguments.expect + ": " + *stats->difference);
  return {};
}

int usage(const char* text) {
  std::fprintf(stderr, "sluice: replay: %s\nRun with --help for more information.\n", text);
  return kUsage;
}

int run(const Arguments& arguments) {
  if (arguments.has_filter && arguments.files.size() != 1) {
    return usage("--filter takes a capture and no configuration");
  }
  if (!arguments.has_filter && arguments.files.size() != 2)
    return usage("a configuration and a capture are needed");
  if (arguments.has_filter && !arguments.port.empty())
    return usage("--port belongs to a configuration");
  if (arguments.json && arguments.metrics) return usage("--json and --metrics exclude each other");
  const auto status = replay(arguments);
  if (!status) return print_error(status.error()), kFailed;
  return kDone;
}

}  // namespace

void add_replay(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand(
      "replay", "Run a capture through a configuration's chain, or through a filter");
  auto arguments = std::make_shared<Arguments>();
  verb->add_option("FILES", arguments->files, "CONFIG CAPTURE, or CAPTURE alone with --filter")
      ->required()
      ->expected(1, 2);
  auto* filter = verb->add_option("--filter", arguments->filter,
                                  "A pcap-filter(7) expression in the place of a configuration");
  // Empty stands for none below: whoever says "" meant a name.
  const auto not_empty = [](const std::string& word) {
    return std::string(word.empty() ? "it is empty" : "");
  };
  verb->add_option("-w,--write", arguments->write, "Write what passes to this capture")
      ->check(not_empty);
  verb->add_option("--expect", arguments->expect, "Compare what passes with this capture")
      ->check(not_empty);
  verb->add_option("--loop", arguments->loops, "Replay so many times")
      ->check(CLI::Range(1u, 1000000000u));
  verb->add_option("--port", arguments->port,
                   "Use the chain of this port (default: the first attach)")
      ->check(not_empty);
  verb->add_flag("--metrics", arguments->metrics,
                 "Print the Prometheus exposition instead of tables");
  verb->add_flag("-j,--json", arguments->json, "Print statistics as JSON");
  verb->callback([arguments, filter, &action] {
    arguments->has_filter = filter->count() > 0;
    action = [arguments] { return run(*arguments); };
  });
}

}  // namespace sluice::cli
