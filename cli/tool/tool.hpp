// The verbs in bpftool's grammar: `sluice map dump pinned /x`. They speak bpf(2) through libbpf's
// functions; where those calls end is the business of whoever makes the Connection (the daemon for
// `sluice`). One thread, the Connection's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "cli/tool/json_writer.hpp"
#include "cli/tool/words.hpp"

namespace sluice::cli {

// What a verb needs besides bpf(2).
class Connection {
 public:
  virtual ~Connection() = default;

  // JSON text; ENOENT: no such query. As bpf::Client::query.
  virtual Result<std::string> query(std::string_view what) = 0;
  // Where pins are; empty: nowhere.
  [[nodiscard]] virtual std::string pin_directory() const = 0;
  // Why a load through libbpf failed: of the first of `programs` that was refused, of a map, or
  // libbpf's own words.
  virtual std::string load_failure(const std::vector<std::string>& programs) = 0;
  // A port's index from its name, or the number itself. ENODEV.
  virtual Result<uint32_t> port_index(const std::string& name) = 0;
  // Empty where there is none of that index.
  virtual std::string port_name(uint32_t index) = 0;
  // Whether a program's bpf_perf_event_output reaches the events of perf_event_open(2).
  [[nodiscard]] virtual bool writes_perf_events() const = 0;
  // From here on bpf(2) is asked with an unprivileged user's rights.
  virtual Status drop_privileges() = 0;
};

struct ToolOptions {
  bool json = false;
  bool pretty = false;
  bool show_pins = false;
  // libbpf's words and the verifier's log of programs that load, on standard error
  bool debug = false;
  std::string base_btf;   // a file: what BTF_SRC's types build upon
};

struct Context {
  Connection& connection;
  ToolOptions options;
  JsonWriter json;  // standard output, in JSON mode

  [[nodiscard]] bool plain() const { return !options.json; }
};

struct Verb {
  const char* name;
  const char* arguments;  // for the help
  Status (*run)(Context&, Words&);
  // The word behind the verb with which it needs no daemon; "" where it never does, null where it
  // always does.
  const char* alone = nullptr;
};

// "map", and its verbs.
struct Subject {
  const char* name;
  const char* about;
  std::vector<Verb> verbs;
  const char* notes;  // for the help: what MAP, DATA and so on stand for
};

[[nodiscard]] const std::vector<Subject>& subjects();
// Whether `word` begins a command of these.
[[nodiscard]] bool is_tool_command(std::string_view word);
[[nodiscard]] std::string subject_help(const Subject& subject);

// A command line's subject and verb, and the words behind them.
struct Command {
  const Subject& subject;
  const Verb& verb;
  std::vector<std::string> words;

  [[nodiscard]] bool needs_daemon() const;
};
// errors: usage.
Result<Command> find_command(std::vector<std::string> words);
// Runs one command (words: "map", "show", ...) and prints its result or error. Exit status: 0 done,
// 1 failed, 2 usage.
int run_command(Context& context, std::vector<std::string> words);
// Says what went wrong as JSON or on standard error, and gives the exit status.
int report_error(Context& context, const Error& error);
// Takes the options out of a command line, wherever they stand. errors: usage; those before the
// mistake count.
Status take_options(std::vector<std::string>* words, ToolOptions* options);
// True: it is for help, which was printed and needs no daemon.
bool print_help(const std::vector<std::string>& words);

}  // namespace sluice::cli
