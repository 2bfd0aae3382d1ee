// One function a verb of the command line. Each declares its arguments on `app` and stores in `run`
// what to do once they are parsed; that returns the exit status: 0 done, 1 failed, 2 usage.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <functional>
#include <string>
#include <vector>

namespace sluice::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

using Action = std::function<int()>;

void add_run(CLI::App& app, Action& action);
void add_check(CLI::App& app, Action& action);
void add_replay(CLI::App& app, Action& action);
void add_exec(CLI::App& app, Action& action);

// The commands in bpftool's grammar (cli/tool) have no use for declared arguments: they are in the
// help, and run apart.
void list_tool_commands(CLI::App& app);
bool is_tool_command_line(const std::vector<std::string>& words);
int run_tool(std::vector<std::string> words);

}  // namespace sluice::cli
