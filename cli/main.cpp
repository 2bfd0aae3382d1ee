// The `sluice` command.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cli/verbs.hpp"

namespace {

int run(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (sluice::cli::is_tool_command_line(words)) return sluice::cli::run_tool(words);
  CLI::App app("sluice: verified, JIT-compiled eBPF packet filters on DPDK", "sluice");
  sluice::cli::Action action;
  app.require_subcommand(1);
  app.footer("`sluice map help`, `sluice prog help` and so on show the rest of the grammar.\n"
             "Exit status: 0 done, 1 failed, 2 usage.");
  sluice::cli::add_run(app, action);
  sluice::cli::add_check(app, action);
  sluice::cli::add_replay(app, action);
  sluice::cli::add_exec(app, action);
  sluice::cli::list_tool_commands(app);
  app.add_subcommand("help", "Show this help")->callback([&] {
    std::fputs(app.get_formatter()->make_help(&app, "sluice", CLI::AppFormatMode::All).c_str(),
               stdout);
    throw CLI::Success();
  });
  const auto known = app.get_subcommands(
      [&](const CLI::App* row) { return !words.empty() && row->get_name() == words[0]; });
  if (!words.empty() && words[0][0] != '-' && known.empty()) {
    std::fprintf(stderr, "sluice: what is \"%s\"? `sluice help` lists the commands\n",
                 words[0].c_str());
    return sluice::cli::kUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? sluice::cli::kDone : sluice::cli::kUsage;
  }
  return action();
}

// The exit status: what was printed may get nowhere only now. A reader that has gone wants no more.
int finish_output(int status) {
  // a write before, whose error is not known any more
  const bool failed = std::ferror(stdout) != 0;
  errno = 0;
  if (std::fflush(stdout) == 0 && !failed) return status;
  if (errno == EPIPE) return status;
  const char* reason = errno != 0 ? std::strerror(errno) : "not all could be written";
  std::fprintf(stderr, "sluice: standard output: %s\n", reason);
  return status == sluice::cli::kDone ? sluice::cli::kFailed : status;
}

}  // namespace

int main(int argc, char** argv) { return finish_output(run(argc, argv)); }
