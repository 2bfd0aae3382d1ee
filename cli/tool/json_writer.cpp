#include "cli/tool/json_writer.hpp"

namespace sluice::cli {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) {
          out += c;
        } else {
          char escape[8];
          std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned char>(c));
          out += escape;
        }
    }
  }
  return out + '"';
}

void JsonWriter::new_line() {
  if (!pretty_) return;
  std::fputc('\n', stream_);
  for (size_t i = 0; i < levels_.size(); i++) std::fputs("    ", stream_);
}

// What stands in front of a value or a key: scalars of an array stay on one line, as do the
// brackets of its objects.
void JsonWriter::separate() {
  values_++;
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (levels_.empty()) return;
  if (!levels_.back().empty) std::fputc(',', stream_);
  levels_.back().empty = false;
}

void JsonWriter::begin(char bracket) {
  separate();
  std::fputc(bracket, stream_);
  levels_.push_back({bracket == '{' ? '}' : ']'});
}

void JsonWriter::end(char bracket) {
  const bool empty = levels_.back().empty;
  levels_.pop_back();
  if (!empty) new_line();
  std::fputc(bracket, stream_);
  if (levels_.empty()) std::fputc('\n', stream_);
}

void JsonWriter::key(std::string_view name) {
  separate();
  new_line();
  std::fputs(quoted(name).c_str(), stream_);
  std::fputs(pretty_ ? ": " : ":", stream_);
  after_key_ = true;
}

void JsonWriter::raw(std::string_view text) {
  separate();
  std::fwrite(text.data(), 1, text.size(), stream_);
  if (levels_.empty()) std::fputc('\n', stream_);
}

void JsonWriter::string(std::string_view text) { raw(quoted(text)); }
void JsonWriter::number(uint64_t value) { raw(std::to_string(value)); }
void JsonWriter::signed_number(int64_t value) { raw(std::to_string(value)); }

void JsonWriter::close_to(size_t depth) {
  if (levels_.size() <= depth) return;
  if (after_key_) null();
  while (levels_.size() > depth) end(levels_.back().end);
}

}  // namespace sluice::cli
