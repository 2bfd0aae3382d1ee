// The verbs in bpftool's grammar: `sluice map dump pinned /x`. They speak bpf(2) through libbpf's functions; where
// those calls end is the business of whoever makes the Connection (the daemon for `sluice`). One thread, the
// Connection's.
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
  // Why a load through libbpf failed: of the first of `programs` that was refused, of a map, or libbpf's own words.
  virtual std::string load_failure(const std::vector<std::string>& programs) = 0;
  // A port's index from its name, or the number itself. ENODEV.
  virtual Result<uint32_t> port_index(const std::string& name) = 0;
  // Empty where there is none of that index.
  virtual std::string port_name(uint32_t index) = 0;
};

struct ToolOptions {
  bool json = false;
  bool pretty = false;
  bool show_pins = false;
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

// Runs one command (words: "map", "show", ...) and prints its result or error. Exit status: 0 done, 1 failed, 2 usage.
int run_command(Context& context, std::vector<std::string> words);
// Takes -j, -p and -f out of a command line, wherever they stand before "--".
[[nodiscard]] Result<ToolOptions> take_options(std::vector<std::string>* words);
// True: it is for help, which was printed and needs no daemon.
bool print_help(const std::vector<std::string>& words);

}  // namespace sluice::cli
