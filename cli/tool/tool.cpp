#include "cli/tool/tool.hpp"

#include <bpf/libbpf.h>

#include <algorithm>
#include <cctype>
#include <cstdarg>

namespace sluice::cli {
namespace {

const Subject* find_subject(std::string_view word) {
  for (const auto& subject : subjects()) {
    if (word == subject.name) return &subject;
  }
  return nullptr;
}

// The first verb that begins so: "s" is show.
const Verb* find_verb(const Subject& subject, std::string_view word) {
  for (const auto& verb : subject.verbs) {
    if (is_prefix(word, verb.name)) return &verb;
  }
  return nullptr;
}

Status dispatch(Context& context, std::vector<std::string> words) {
  auto command = find_command(std::move(words));
  if (!command) return fail(std::move(command.error()));
  const auto& [subject, verb, rest] = *command;
  Words arguments(rest);
  auto status = verb.run(context, arguments);
  if (status || status.error().text.empty()) return status;
  const bool single = subject.verbs.size() == 1;
  return fail(std::move(status.error())
                  .in(single ? subject.name : std::string(subject.name) + " " + verb.name));
}

void report(Context& context, const Error& error, size_t depth, uint64_t values) {
  const bool silent = !context.plain() && context.json.values() == values;
  context.json.close_to(depth);
  if (error.text.empty()) return;
  if (silent) {
    context.json.begin_object();
    context.json.member("error", error.text);
    context.json.end_object();
    return;
  }
  std::fflush(stdout);
  std::fprintf(stderr, "sluice: %s\n", error.text.c_str());
}

libbpf_print_fn_t quiet_print = nullptr;  // what heard libbpf before -d

__attribute__((format(printf, 2, 0))) int print_debug(libbpf_print_level level, const char* format,
                                                      va_list arguments) {
  va_list copy;
  va_copy(copy, arguments);
  std::vfprintf(stderr, format, copy);
  va_end(copy);
  return quiet_print != nullptr ? quiet_print(level, format, arguments) : 0;
}

// With -d everything that libbpf says goes to standard error too.
void listen_to_libbpf() {
  const auto before = ::libbpf_set_print(print_debug);
  if (before != print_debug) quiet_print = before;
}

}  // namespace

Result<Command> find_command(std::vector<std::string> words) {
  const Subject* subject = words.empty() ? nullptr : find_subject(words[0]);
  if (subject == nullptr)
    return usage(words.empty() ? "a command is missing" : "what is \"" + words[0] + "\"?");
  words.erase(words.begin());
  // No verb is the first one: show.
  const Verb* verb = &subject->verbs[0];
  const bool optional = subject->verbs[0].name == std::string_view("show");
  if (!words.empty() && find_verb(*subject, words[0]) != nullptr) {
    verb = find_verb(*subject, words[0]);
    words.erase(words.begin());
  } else if (!optional || (!words.empty() && subject->verbs.size() > 1)) {
    const std::string hint =
        std::string("; `sluice ") + subject->name + " help` lists the commands";
    return usage(std::string(subject->name) +
                 (words.empty() ? ": a command is missing" : ": what is \"" + words[0] + "\"?") +
                 hint);
  }
  return Command{*subject, *verb, std::move(words)};
}

bool Command::needs_daemon() const {
  if (verb.alone == nullptr) return true;
  return *verb.alone != 0 && (words.empty() || !is_prefix(words[0], verb.alone));
}

bool is_tool_command(std::string_view word) { return find_subject(word) != nullptr; }

std::string subject_help(const Subject& subject) {
  std::string text;
  for (const auto& verb : subject.verbs) {
    const bool single = subject.verbs.size() == 1 && verb.name == std::string_view("show");
    text += text.empty() ? "Usage: sluice " : "       sluice ";
    text += subject.name;
    if (!single) text += std::string(" ") + verb.name;
    if (*verb.arguments != 0) text += std::string(" ") + verb.arguments;
    text += "\n";
  }
  text += "\n";
  text += subject.notes;
  return text +
         "  OPTIONS := { -j | --json | -p | --pretty | -f | --bpffs (show pins) | -d | --debug | "
         "-B FILE | --base-btf FILE |\n"
         "               -n | --nomount (nothing is ever mounted) }\n";
}

bool print_help(const std::vector<std::string>& words) {
  const Subject* subject = words.empty() ? nullptr : find_subject(words[0]);
  if (subject == nullptr) return false;
  for (size_t i = 1; i < words.size(); i++) {
    if (words[i] != "-h" && words[i] != "--help" && !(i == 1 && words[i] == "help")) continue;
    std::fputs(subject_help(*subject).c_str(), stdout);
    return true;
  }
  return false;
}

namespace {

// "-jp" is "-j" "-p".
std::vector<std::string> split_letters(const std::vector<std::string>& words) {
  std::vector<std::string> split;
  for (const auto& word : words) {
    const bool several =
        word.size() > 2 && word[0] == '-' && word.find_first_not_of("jpfdn", 1) == word.npos;
    if (!several) split.push_back(word);
    for (size_t i = 1; several && i < word.size(); i++) split.push_back({'-', word[i]});
  }
  return split;
}

}  // namespace

Status take_options(std::vector<std::string>* words, ToolOptions* options) {
  struct Option {
    std::string_view letter;
    std::string_view name;
    bool ToolOptions::*value;  // null: bpftool's, of which nothing is to be done here
  };
  constexpr Option kOptions[] = {{"-j", "--json", &ToolOptions::json},
                                 {"-p", "--pretty", &ToolOptions::pretty},
                                 {"-f", "--bpffs", &ToolOptions::show_pins},
                                 {"-d", "--debug", &ToolOptions::debug},
                                 {"-n", "--nomount", nullptr}};
  *words = split_letters(*words);
  std::vector<std::string> rest;
  for (size_t i = 0; i < words->size(); i++) {
    std::string& word = (*words)[i];
    const auto* option =
        std::find_if(std::begin(kOptions), std::end(kOptions),
                     [&](const Option& row) { return word == row.letter || word == row.name; });
    if (option != std::end(kOptions)) {
      if (option->value != nullptr) options->*option->value = true;
      options->json |= options->pretty;
    } else if (word == "-B" || word == "--base-btf") {
      if (++i == words->size()) return usage("the file after " + word + " is missing");
      options->base_btf = (*words)[i];
    } else if (word == "-V" || word == "--version") {
      rest.insert(rest.begin(), "version");
    } else if (word.size() > 1 && word[0] == '-' &&
               std::isdigit(static_cast<unsigned char>(word[1])) == 0 && word != "-h" &&
               word != "--help") {
      return usage("there is no option " + word);
    } else {
      rest.push_back(std::move(word));
    }
  }
  *words = std::move(rest);
  return {};
}

int report_error(Context& context, const Error& error) {
  report(context, error, 0, context.json.values());
  return error.code == kUsageCode ? 2 : 1;
}

int run_command(Context& context, std::vector<std::string> words) {
  const size_t depth = context.json.depth();
  const uint64_t values = context.json.values();
  if (context.options.debug) listen_to_libbpf();
  const auto status = dispatch(context, std::move(words));
  if (!status) {
    report(context, status.error(), depth, values);
    return status.error().code == kUsageCode ? 2 : 1;
  }
  if (!context.plain() && context.json.values() == values) context.json.null();
  return 0;
}

}  // namespace sluice::cli
