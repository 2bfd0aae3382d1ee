// JSON to a stream, as it is made: on one line, or pretty with four spaces a level. One thread, one
// writer a stream. The plain form of decoded values is the pretty one with numbers that JSON has no
// words for (0x1f) unquoted.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::cli {

class JsonWriter {
 public:
  JsonWriter(std::FILE* stream, bool pretty) : stream_(stream), pretty_(pretty) {}

  void begin_object() { begin('{'); }
  void end_object() { end('}'); }
  void begin_array() { begin('['); }
  void end_array() { end(']'); }
  void key(std::string_view name);

  void string(std::string_view text);
  void number(uint64_t value);
  void signed_number(int64_t value);
  void boolean(bool value) { raw(value ? "true" : "false"); }
  void null() { raw("null"); }
  // A value as the caller spells it.
  void raw(std::string_view text);

  void member(std::string_view name, std::string_view text) { key(name), string(text); }
  void member(std::string_view name, const char* text) { key(name), string(text); }
  void member(std::string_view name, uint64_t value) { key(name), number(value); }
  void member(std::string_view name, uint32_t value) { key(name), number(value); }
  void member(std::string_view name, int32_t value) { key(name), signed_number(value); }
  void member(std::string_view name, bool value) { key(name), boolean(value); }

  // Levels that are open.
  [[nodiscard]] size_t depth() const { return levels_.size(); }
  // Values written so far at any level: whether a command has said something.
  [[nodiscard]] uint64_t values() const { return values_; }
  // Ends levels until `depth` are left, so that what was begun is whole.
  void close_to(size_t depth);

 private:
  struct Level {
    char end;
    bool empty = true;
  };
  void begin(char bracket);
  void end(char bracket);
  void separate();
  void new_line();

  std::FILE* stream_;
  bool pretty_;
  bool after_key_ = false;
  std::vector<Level> levels_;
  uint64_t values_ = 0;
};

// With its quotes.
[[nodiscard]] std::string quoted(std::string_view text);

}  // namespace sluice::cli
