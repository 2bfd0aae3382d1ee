// What the daemon says of itself (JSON), parsed. The session's thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/tool/tool.hpp"

namespace sluice::cli {

// A JSON value: an object's members by name, an array's in order, or a scalar's text.
class Json {
 public:
  // errors: EBADMSG.
  static Result<Json> parse(const std::string& text);

  // The member of an object; an empty value where there is none.
  [[nodiscard]] const Json& operator[](std::string_view name) const;
  [[nodiscard]] const std::vector<Json>& items() const { return items_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] double number() const;
  [[nodiscard]] uint64_t count() const;

  void write(JsonWriter& out) const;

 private:
  friend struct JsonBuilder;
  enum class Kind { object, array, string, other };
  Kind kind_ = Kind::other;
  std::vector<std::string> names_;  // of an object's items
  std::vector<Json> items_;
  std::string text_ = "null";  // of a scalar; empty: there is no such value
};

// errors: the query's, EBADMSG.
Result<Json> ask(Connection& connection, const char* what);
// Asks the daemon; the answer's JSON goes out as it is in JSON mode, else `show` prints it.
Status show_query(Context& context, Words& words, const char* what,
                  const std::function<void(const Json&)>& show);

}  // namespace sluice::cli
