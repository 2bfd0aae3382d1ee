#include <bpf/libbpf.h>

#include "cli/daemon_connection.hpp"
#include "cli/no_connection.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli {
namespace {

int run_on(Connection& connection, const ToolOptions& options, std::vector<std::string> words) {
  Context context{connection, options, JsonWriter(stdout, options.pretty)};
  return run_command(context, std::move(words));
}

}  // namespace

void list_tool_commands(CLI::App& app) {
  for (const auto& subject : subjects())
    app.add_subcommand(subject.name, subject.about)->prefix_command();
}

bool is_tool_command_line(const std::vector<std::string>& words) {
  for (const auto& word : words) {
    if (word.empty() || word[0] != '-') return is_tool_command(word);
    if (word == "-V" || word == "--version") return true;
  }
  return false;
}

int run_tool(std::vector<std::string> words) {
  NoConnection none;
  ::libbpf_set_print(nullptr);  // our errors say what is to be said
  ToolOptions options;
  const auto taken = take_options(&words, &options);
  Context context{none, options, JsonWriter(stdout, options.pretty)};
  if (!taken) return report_error(context, taken.error());
  if (print_help(words)) return kDone;
  // A command that cannot be meant is told so without a daemon too.
  const auto command = find_command(words);
  if (!command) return report_error(context, command.error());
  if (!command->needs_daemon()) return run_on(none, options, std::move(words));
  auto connection = DaemonConnection::open();
  if (!connection) return report_error(context, connection.error());
  return run_on(**connection, options, std::move(words));
}

}  // namespace sluice::cli
