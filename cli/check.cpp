#include "cli/messages.hpp"
#include "cli/verbs.hpp"
#include "config/parse.hpp"
#include "control/exporter.hpp"
#include "control/programs.hpp"
#include "dataplane/mbuf_layout.hpp"

namespace sluice::cli {

namespace {

void print_program(const control::Programs& programs, const control::ProgramEntry& entry) {
  const auto object = programs.surface().objects().program(entry.loaded.id);
  std::string maps;
  for (const auto& [name, map] : entry.loaded.maps)
    maps += (maps.empty() ? " maps: " : ", ") + name;
  std::printf("program %s: %zu instructions, %llu verified;%s\n", entry.loaded.name.c_str(),
              entry.loaded.program->insns.size(),
              static_cast<unsigned long long>(object ? object->verified_insns : 0),
              maps.empty() ? " no maps" : maps.c_str());
}

// Loads, verifies and compiles all that the daemon would; opens nothing.
Status check(const std::string& path) {
  const auto config = config::parse_config(path);
  if (!config) return fail(config.error());
  auto programs = control::Programs::load(*config);
  if (!programs) return fail(std::move(programs.error()));
  const auto metrics = control::make_map_metrics(*config, **programs);
  if (!metrics) return fail(metrics.error());
  for (const auto& attach : config->attach) {
    const auto chain =
        (*programs)->make_chain(control::chain_names(attach), dataplane::kPortLayout);
    if (!chain) return fail(chain.error().code, config->message(attach.at, chain.error().text));
  }
  for (const auto& entry : (*programs)->entries()) print_program(**programs, entry);
  std::printf("%s: ok: %zu ports, %zu programs, %zu chains, %zu metrics\n", path.c_str(),
              config->ports.size(), config->programs.size(), config->attach.size(),
              config->metrics.metrics.size());
  return {};
}

}  // namespace

void add_check(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand(
      "check", "Validate a configuration and verify its programs; start nothing");
  auto path = std::make_shared<std::string>();
  verb->add_option("CONFIG", *path, "Configuration file")->required();
  verb->callback([path, &action] {
    action = [path] {
      const auto status = check(*path);
      if (!status) return print_error(status.error()), kFailed;
      return kDone;
    };
  });
}

}  // namespace sluice::cli
