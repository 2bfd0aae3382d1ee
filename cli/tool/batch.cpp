#include <cstdio>

#include "cli/tool/files.hpp"
#include "cli/tool/verbs.hpp"

namespace sluice::cli {
Status batch_file(Context& context, Words& words) {
  const auto path = words.take("file");
  if (!path) return fail(path.error());
  if (auto status = words.done(); !status) return status;
  const auto text = read_input(*path);
  if (!text) return fail(text.error());
  const auto commands = split_commands(*text);
  if (!commands) return fail(Error(commands.error()).in(*path));
  if (!context.plain()) context.json.begin_array();
  for (const auto& command : *commands) {
    if (command.words[0] == "batch")
      return fail(EINVAL, *path + ":" + std::to_string(command.line) + ": a batch in a batch");
    if (!context.plain()) {
      context.json.begin_object();
      context.json.key("command");
      context.json.begin_array();
      for (const auto& word : command.words) context.json.string(word);
      context.json.end_array();
      context.json.key("output");
    }
    const int status = run_command(context, command.words);
    if (!context.plain()) context.json.end_object();
    // What it was is said; where it stands is not yet.
    if (status != 0)
      return fail(ECANCELED, *path + ":" + std::to_string(command.line) +
                                 ": this command failed; those after it did not run");
  }
  if (context.plain()) {
    std::printf("processed %zu commands\n", commands->size());
  } else {
    context.json.end_array();
  }
  return {};
}

}  // namespace sluice::cli
