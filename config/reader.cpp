#include "config/reader.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <set>

namespace sluice::config {

namespace {

constexpr size_t kLongestWord = 64;  // the search is quadratic in it

// Edits from one word to the other; two letters swapped count as one, as the commonest slip.
size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::vector<size_t>> rows(from.size() + 1, std::vector<size_t>(to.size() + 1));
  for (size_t i = 0; i <= from.size(); i++) rows[i][0] = i;
  std::iota(rows[0].begin(), rows[0].end(), size_t{0});
  for (size_t i = 1; i <= from.size(); i++) {
    for (size_t j = 1; j <= to.size(); j++) {
      const size_t replaced = rows[i - 1][j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
      rows[i][j] = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
      if (swapped) rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[from.size()][to.size()];
}

std::string join(const std::vector<std::string>& words) {
  std::string joined;
  for (const auto& word : words) joined += (joined.empty() ? "" : ", ") + word;
  return joined;
}

}  // namespace

Position position(const YAML::Node& node) {
  const YAML::Mark mark = node.Mark();
  if (mark.is_null()) return {};
  return {static_cast<uint32_t>(mark.line) + 1, static_cast<uint32_t>(mark.column) + 1};
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.size() > kLongestWord) return "";
  // More than a third of the letters wrong is another word, not a slip; the beginning of a word is
  // meant for it.
  size_t nearest = std::max<size_t>(1, word.size() / 3) + 1;
  const std::string* found = nullptr;
  for (const auto& candidate : candidates) {
    const bool begins = word.size() >= 3 && candidate.starts_with(word);
    const size_t distance = begins ? 1 : edit_distance(word, candidate);
    if (distance >= nearest) continue;
    nearest = distance;
    found = &candidate;
  }
  return found == nullptr ? "" : "did you mean \"" + *found + "\"?";
}

void Reader::error(Position at, std::string text, const std::string& hint) {
  if (!hint.empty()) text += " (" + hint + ")";
  errors_.push_back({at, config_.message(at, text)});
}

std::string Reader::errors() const {
  std::vector<Mistake> sorted = errors_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Mistake& left, const Mistake& right) {
    return std::pair(left.at.line, left.at.column) < std::pair(right.at.line, right.at.column);
  });
  std::string all;
  for (const auto& each : sorted) all += (all.empty() ? "" : "\n") + each.text;
  return all;
}

void Reader::wrong_kind(const YAML::Node& node, const std::string& what,
                        const std::string& expected) {
  std::string found = "nothing";
  if (node.IsMap()) found = "a mapping";
  if (node.IsSequence()) found = "a list";
  if (node.IsScalar()) found = "\"" + node.Scalar() + "\"";
  error(position(node), what + ": expected " + expected + ", found " + found);
}

void Reader::not_one_of(const Text& word, const std::string& what,
                        const std::vector<std::string>& words) {
  error(word.at, what + ": expected one of " + join(words) + ", found \"" + word.value + "\"",
        did_you_mean(word.value, words));
}

void Reader::mapping(const YAML::Node& node, const std::string& what,
                     std::initializer_list<Field> fields) {
  if (!node.IsMap()) return wrong_kind(node, what, "a mapping");
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const YAML::Node& key = entry.first;
    const YAML::Node& value = entry.second;
    if (!key.IsScalar()) {
      wrong_kind(key, what, "a word as key");
      continue;
    }
    const std::string& word = key.Scalar();
    const auto field = std::find_if(fields.begin(), fields.end(),
                                    [&](const Field& each) { return each.key == word; });
    if (field == fields.end()) {
      std::vector<std::string> known;
      for (const auto& each : fields) known.emplace_back(each.key);
      std::string hint = did_you_mean(word, known);
      if (hint.empty()) hint = "known here: " + join(known);
      error(position(key), what + ": unknown key \"" + word + "\"", hint);
    } else if (!seen.insert(word).second) {
      error(position(key), what + ": \"" + word + "\" is given twice", "remove one of them");
    } else if (value.IsNull()) {
      error(position(key), what + ": \"" + word + "\" has no value",
            "remove the key or give it a value");
    } else {
      field->read(value);
    }
  }
  for (const auto& field : fields) {
    if (!field.required || seen.count(std::string(field.key)) != 0) continue;
    error(position(node), what + ": \"" + std::string(field.key) + "\" is missing");
  }
}

void Reader::sequence(const YAML::Node& node, const std::string& what,
                      const std::function<void(const YAML::Node&)>& read) {
  if (!node.IsSequence()) return wrong_kind(node, what, "a list");
  for (const auto& item : node) read(item);
}

bool Reader::text(const YAML::Node& node, const std::string& what, Text& out) {
  if (!node.IsScalar()) {
    wrong_kind(node, what, "a text");
    return false;
  }
  // A zero byte would end the text early in every C interface behind us.
  if (node.Scalar().find('\0') != std::string::npos) {
    error(position(node), what + ": a zero byte is not allowed here");
    return false;
  }
  out = Text{node.Scalar(), position(node)};
  return true;
}

bool Reader::text(const YAML::Node& node, const std::string& what, std::string& out) {
  Text located;
  if (!text(node, what, located)) return false;
  out = std::move(located.value);
  return true;
}

bool Reader::number(const YAML::Node& node, const std::string& what, uint32_t lowest,
                    uint32_t highest, uint32_t& out) {
  uint64_t value = 0;
  bool valid = node.IsScalar() && !node.Scalar().empty();
  if (valid) {
    const std::string& digits = node.Scalar();
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    valid = code == std::errc() && end == digits.data() + digits.size() && value >= lowest &&
            value <= highest;
  }
  if (!valid) {
    wrong_kind(node, what,
               "a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest));
    return false;
  }
  out = static_cast<uint32_t>(value);
  return true;
}

bool Reader::boolean(const YAML::Node& node, const std::string& what, bool& out) {
  if (node.IsScalar()) {
    const std::string& word = node.Scalar();
    if (word == "true" || word == "on" || word == "yes") return out = true, true;
    if (word == "false" || word == "off" || word == "no") return out = false, true;
  }
  wrong_kind(node, what, "on or off");
  return false;
}

bool Reader::name(const YAML::Node& node, const std::string& what, Text& out) {
  Text word;
  if (!text(node, what, word)) return false;
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  if (word.value.empty() || word.value.size() > 63 ||
      !std::all_of(word.value.begin(), word.value.end(), allowed)) {
    error(word.at, what + ": \"" + word.value + "\" is not a name",
          "letters, digits, _ - . and at most 63 of them");
    return false;
  }
  out = std::move(word);
  return true;
}

}  // namespace sluice::config
