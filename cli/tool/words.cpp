#include "cli/tool/words.hpp"

#include <cctype>
#include <charconv>
#include <utility>

namespace sluice::cli {
namespace {

// C's notation: 0x.. hexadecimal, 0.. octal, else decimal; the whole word or nothing.
bool parse_number(std::string_view word, int base, uint64_t* value) {
  if (base == 0) {
    base = 10;
    if (word.starts_with("0x") || word.starts_with("0X")) {
      base = 16;
    } else if (word.size() > 1 && word[0] == '0') {
      base = 8;
    }
  }
  if (base == 16 && (word.starts_with("0x") || word.starts_with("0X"))) word.remove_prefix(2);
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), *value, base);
  return error == std::errc() && end == word.data() + word.size();
}

}  // namespace

bool is_prefix(std::string_view word, std::string_view keyword) {
  return !word.empty() && keyword.starts_with(word);
}

bool Words::accept(std::string_view keyword) {
  if (!next_is(keyword)) return false;
  at_++;
  return true;
}

Result<std::string> Words::take(std::string_view what) {
  if (empty()) return usage(std::string(what) + " is missing");
  return words_[at_++];
}

Result<std::string> Words::take_path(std::string_view what) {
  auto path = take(what);
  if (path && path->empty()) return usage(std::string(what) + " is empty");
  return path;
}

Status Words::expect(std::string_view keyword) {
  if (accept(keyword)) return {};
  const std::string wanted = "\"" + std::string(keyword) + "\"";
  return empty() ? usage(wanted + " is missing")
                 : usage("expected " + wanted + ", not \"" + std::string(peek()) + "\"");
}

Result<uint64_t> Words::take_number(std::string_view what, uint64_t most) {
  const auto word = take(what);
  if (!word) return fail(word.error());
  uint64_t value = 0;
  if (!parse_number(*word, 0, &value))
    return usage(std::string(what) + ": \"" + *word + "\" is not a number");
  if (value > most)
    return usage(std::string(what) + ": " + *word + " is more than " + std::to_string(most));
  return value;
}

Result<std::vector<uint8_t>> Words::take_bytes(std::string_view what, size_t size) {
  const int base = peek() == "hex" ? 16 : 0;
  if (base == 16) at_++;
  std::vector<uint8_t> bytes;
  while (bytes.size() < size && !empty()) {
    uint64_t value = 0;
    if (!parse_number(peek(), base, &value)) {
      if (!bytes.empty()) break;
      return usage(std::string(what) + ": \"" + std::string(peek()) + "\" is not a byte");
    }
    if (value > 255)
      return usage(std::string(what) + ": " + std::string(peek()) + " does not fit a byte");
    bytes.push_back(static_cast<uint8_t>(value));
    at_++;
  }
  const bool more = !peek().empty() && std::isdigit(static_cast<unsigned char>(peek()[0])) != 0;
  if (bytes.size() == size && !more) return bytes;
  if (bytes.size() == size)
    return usage(std::string(what) + " expected " + std::to_string(size) + " bytes, got more");
  std::string text = std::string(what) + " expected " + std::to_string(size) + " bytes, got " +
                     std::to_string(bytes.size());
  if (!empty()) text += " before \"" + std::string(peek()) + "\"";
  return usage(text);
}

Status Words::done() const {
  if (empty()) return {};
  return usage("what is \"" + words_[at_] + "\"?");
}

Result<std::vector<std::string>> split_line(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool inside = false;  // a word, perhaps an empty quoted one
  char quote = 0;
  for (const char c : line) {
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '#') {
      break;
    } else if (c == '\'' || c == '"') {
      quote = c;
      inside = true;
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      if (inside) words.push_back(std::exchange(word, {}));
      inside = false;
    } else {
      word += c;
      inside = true;
    }
  }
  if (quote != 0) return fail(EINVAL, std::string("a quote ") + quote + " that does not end");
  if (inside) words.push_back(word);
  return words;
}

Result<std::vector<BatchCommand>> split_commands(std::string_view text) {
  std::vector<BatchCommand> commands;
  size_t number = 0;
  while (!text.empty()) {
    BatchCommand command{number + 1, {}};
    std::string joined;
    for (bool more = true; more && !text.empty();) {
      const size_t end = text.find('\n');
      std::string_view line = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      number++;
      more = line.ends_with('\\');
      if (more) line.remove_suffix(1);
      joined += line;
      if (more) joined += ' ';
    }
    auto words = split_line(joined);
    if (!words) return fail(std::move(words.error()).in("line " + std::to_string(command.line)));
    if (words->empty()) continue;
    command.words = std::move(*words);
    commands.push_back(std::move(command));
  }
  return commands;
}

}  // namespace sluice::cli
