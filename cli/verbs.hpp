// One function a verb of the command line. Each declares its arguments on `app` and stores in `run` what to do once they
// are parsed; that returns the exit status: 0 done, 1 failed, 2 usage.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <functional>

namespace sluice::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

using Action = std::function<int()>;

void add_run(CLI::App& app, Action& action);
void add_check(CLI::App& app, Action& action);
void add_replay(CLI::App& app, Action& action);
void add_exec(CLI::App& app, Action& action);

}  // namespace sluice::cli
