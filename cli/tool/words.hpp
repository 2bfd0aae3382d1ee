// The words of a command line in bpftool's grammar, read from left to right. Keywords may be cut
// short. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sluice::cli {

// The code of an Error about the command line itself: no errno, exit status 2.
inline constexpr int kUsageCode = 0;
[[nodiscard]] inline tl::unexpected<Error> usage(std::string text) {
  return fail(kUsageCode, std::move(text));
}

// "sh" is one of "show"; nothing is one of anything.
[[nodiscard]] bool is_prefix(std::string_view word, std::string_view keyword);

class Words {
 public:
  explicit Words(std::vector<std::string> words) : words_(std::move(words)) {}

  [[nodiscard]] bool empty() const { return at_ >= words_.size(); }
  [[nodiscard]] size_t left() const { return words_.size() - at_; }
  // The next word; empty where there is none.
  [[nodiscard]] std::string_view peek() const {
    return empty() ? std::string_view() : std::string_view(words_[at_]);
  }
  [[nodiscard]] bool next_is(std::string_view keyword) const { return is_prefix(peek(), keyword); }
  // Takes the keyword if it is next.
  bool accept(std::string_view keyword);

  // errors: usage, naming `what` is missing.
  Result<std::string> take(std::string_view what);
  // The same, and not empty.
  Result<std::string> take_path(std::string_view what);
  Status expect(std::string_view keyword);
  // A number in C's notation (10, 0xa, 012) of at most `most`.
  Result<uint64_t> take_number(std::string_view what, uint64_t most = UINT32_MAX);
  // `size` bytes in C's notation, or in hexadecimal after the word "hex".
  Result<std::vector<uint8_t>> take_bytes(std::string_view what, size_t size);
  // Nothing may follow.
  [[nodiscard]] Status done() const;

 private:
  std::vector<std::string> words_;
  size_t at_ = 0;
};

// A line of a batch file into words: blanks separate, '...' and "..." hold together, # begins a
// comment. EINVAL: a quote that does not end.
[[nodiscard]] Result<std::vector<std::string>> split_line(std::string_view line);

// The commands of a batch file, one a line; a backslash at its end joins the next one. EINVAL: line
// number and reason.
struct BatchCommand {
  size_t line = 0;
  std::vector<std::string> words;  // at least one
};
[[nodiscard]] Result<std::vector<BatchCommand>> split_commands(std::string_view text);

}  // namespace sluice::cli
