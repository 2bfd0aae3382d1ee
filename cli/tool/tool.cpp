#include "cli/tool/tool.hpp"

#include <algorithm>

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
  const Subject* subject = words.empty() ? nullptr : find_subject(words[0]);
  if (subject == nullptr) return usage(words.empty() ? "a command is missing" : "what is \"" + words[0] + "\"?");
  words.erase(words.begin());
  // No verb is the first one: show.
  const Verb* verb = &subject->verbs[0];
  const bool optional = subject->verbs[0].name == std::string_view("show");
  if (!words.empty() && find_verb(*subject, words[0]) != nullptr) {
    verb = find_verb(*subject, words[0]);
    words.erase(words.begin());
  } else if (!optional || (!words.empty() && subject->verbs.size() > 1)) {
    const std::string hint = std::string("; `sluice ") + subject->name + " help` lists the commands";
    return usage(std::string(subject->name) +
                 (words.empty() ? ": a command is missing" : ": what is \"" + words[0] + "\"?") + hint);
  }
  Words rest(std::move(words));
  auto status = verb->run(context, rest);
  if (status || status.error().text.empty()) return status;
  const bool single = subject->verbs.size() == 1;
  return fail(std::move(status.error()).in(single ? subject->name : std::string(subject->name) + " " + verb->name));
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

}  // namespace

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
  return text + "  OPTIONS := { -j | --json, -p | --pretty, -f | --bpffs (show pins) }\n";
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

Result<ToolOptions> take_options(std::vector<std::string>* words) {
  ToolOptions options;
  std::vector<std::string> rest;
  for (auto& word : *words) {
    if (word == "-j" || word == "--json") {
      options.json = true;
    } else if (word == "-p" || word == "--pretty") {
      options.json = options.pretty = true;
    } else if (word == "-f" || word == "--bpffs") {
      options.show_pins = true;
    } else if (word.size() > 1 && word[0] == '-' && word != "-h" && word != "--help") {
      return usage("there is no option " + word);
    } else {
      rest.push_back(std::move(word));
    }
  }
  *words = std::move(rest);
  return options;
}

int run_command(Context& context, std::vector<std::string> words) {
  const size_t depth = context.json.depth();
  const uint64_t values = context.json.values();
  const auto status = dispatch(context, std::move(words));
  if (!status) {
    report(context, status.error(), depth, values);
    return status.error().code == kUsageCode ? 2 : 1;
  }
  if (!context.plain() && context.json.values() == values) context.json.null();
  return 0;
}

}  // namespace sluice::cli
