#include "cli/daemon_connection.hpp"
#include "cli/messages.hpp"
#include "cli/verbs.hpp"

namespace sluice::cli {

void list_tool_commands(CLI::App& app) {
  for (const auto& subject : subjects()) app.add_subcommand(subject.name, subject.about)->prefix_command();
}

bool is_tool_command_line(const std::vector<std::string>& words) {
  for (const auto& word : words) {
    if (word.empty() || word[0] != '-') return is_tool_command(word);
  }
  return false;
}

int run_tool(std::vector<std::string> words) {
  const auto options = take_options(&words);
  if (!options) return print_error(options.error()), kUsage;
  if (print_help(words)) return kDone;
  auto connection = DaemonConnection::open();
  JsonWriter json(stdout, options->pretty);
  if (!connection) {
    if (!options->json) return print_error(connection.error()), kFailed;
    json.begin_object();
    json.member("error", connection.error().text);
    json.end_object();
    return kFailed;
  }
  Context context{**connection, *options, json};
  return run_command(context, std::move(words));
}

}  // namespace sluice::cli
