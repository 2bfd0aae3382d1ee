// Reads YAML nodes of an expected kind and collects what is wrong with them. Private to config/.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/schema.hpp"

namespace sluice::config {

Position position(const YAML::Node& node);

// `did you mean "x"?` for the candidate nearest to `word`, or empty if none is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

template <class T>
struct Choice {
  std::string_view word;
  T value;
};

class Reader {
 public:
  explicit Reader(Config& config) : config_(config) {}

  void error(Position at, std::string text, const std::string& hint = {});
  [[nodiscard]] bool ok() const { return errors_.empty(); }
  [[nodiscard]] std::string errors() const;  // one a line, in the order of the file

  struct Field {
    std::string_view key;
    std::function<void(const YAML::Node&)> read;
    bool required = false;
  };
  // Calls each present key's reader. Reports unknown, repeated and empty keys, and required ones
  // that are missing.
  void mapping(const YAML::Node& node, const std::string& what,
               std::initializer_list<Field> fields);
  void sequence(const YAML::Node& node, const std::string& what,
                const std::function<void(const YAML::Node&)>& read);

  // Each leaves `out` alone and returns false after reporting a node of another kind.
  bool text(const YAML::Node& node, const std::string& what, Text& out);
  bool text(const YAML::Node& node, const std::string& what, std::string& out);
  bool number(const YAML::Node& node, const std::string& what, uint32_t lowest, uint32_t highest,
              uint32_t& out);
  bool boolean(const YAML::Node& node, const std::string& what, bool& out);
  // A name for ports and programs: what may stand in a path of metrics and on a command line.
  bool name(const YAML::Node& node, const std::string& what, Text& out);

  template <class T>
  bool choice(const YAML::Node& node, const std::string& what,
              std::initializer_list<Choice<T>> choices, T& out) {
    Text word;
    if (!text(node, what, word)) return false;
    std::vector<std::string> words;
    for (const auto& each : choices) {
      if (each.word == word.value) {
        out = each.value;
        return true;
      }
      words.emplace_back(each.word);
    }
    not_one_of(word, what, words);
    return false;
  }

 private:
  struct Mistake {
    Position at;
    std::string text;
  };
  void not_one_of(const Text& word, const std::string& what, const std::vector<std::string>& words);
  void wrong_kind(const YAML::Node& node, const std::string& what, const std::string& expected);

  Config& config_;
  std::vector<Mistake> errors_;
};

// One section each; they stand in parse_SECTION.cpp.
void read_eal(Reader& reader, const YAML::Node& node, Eal& eal);
void read_ports(Reader& reader, const YAML::Node& node, std::vector<Port>& ports);
void read_programs(Reader& reader, const YAML::Node& node, std::vector<Program>& programs);
void resolve_objects(Reader& reader, Config& config, const std::vector<std::string>& directories);
void read_attach(Reader& reader, const YAML::Node& node, std::vector<Attach>& attach);
void check_attach(Reader& reader, const Config& config);
void read_access(Reader& reader, const YAML::Node& node, const std::string& what,
                 const char* path_key, Access& access);
void read_metrics(Reader& reader, const YAML::Node& node, Metrics& metrics);
void check_metrics(Reader& reader, Config& config);

}  // namespace sluice::config
