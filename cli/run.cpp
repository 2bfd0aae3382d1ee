#include "cli/messages.hpp"
#include "cli/verbs.hpp"
#include "config/parse.hpp"
#include "control/daemon.hpp"

namespace sluice::cli {

namespace {

int run(const std::string& path) {
  const auto config = config::parse_config(path);
  if (!config) return print_error(config.error()), kFailed;
  const auto status = control::run_daemon(*config);
  if (!status) return print_error(status.error()), kFailed;
  return kDone;
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("run", "Run the appliance in the foreground");
  auto path = std::make_shared<std::string>();
  verb->add_option("CONFIG", *path, "Configuration file")->required();
  verb->callback([path, &action] { action = [path] { return run(*path); }; });
}

}  // namespace sluice::cli
