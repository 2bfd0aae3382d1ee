#include "cli/tool/daemon_text.hpp"

#include <yaml-cpp/yaml.h>

#include <cstdlib>

namespace sluice::cli {

// JSON is YAML, and YAML is what the project has a parser of.
struct JsonBuilder {
  static Json build(const YAML::Node& node) {
    Json made;
    if (node.IsMap()) {
      made.kind_ = Json::Kind::object;
      for (const auto& member : node) {
        made.names_.push_back(member.first.Scalar());
        made.items_.push_back(build(member.second));
      }
    } else if (node.IsSequence()) {
      made.kind_ = Json::Kind::array;
      for (const auto& item : node) made.items_.push_back(build(item));
    } else if (node.IsScalar()) {
      made.kind_ = node.Tag() == "!" ? Json::Kind::string : Json::Kind::other;
      made.text_ = node.Scalar();
    }
    return made;
  }
};

Result<Json> Json::parse(const std::string& text) {
  try {
    return JsonBuilder::build(YAML::Load(text));
  } catch (const YAML::Exception& error) {
    return fail(EBADMSG, std::string("the daemon's answer is not JSON: ") + error.what());
  }
}

const Json& Json::operator[](std::string_view name) const {
  static const Json nothing = [] {
    Json made;
    made.text_.clear();
    return made;
  }();
  for (size_t i = 0; i < names_.size(); i++) {
    if (names_[i] == name) return items_[i];
  }
  return nothing;
}

double Json::number() const { return std::strtod(text_.c_str(), nullptr); }
uint64_t Json::count() const { return std::strtoull(text_.c_str(), nullptr, 10); }

void Json::write(JsonWriter& out) const {
  switch (kind_) {
    case Kind::object:
      out.begin_object();
      for (size_t i = 0; i < items_.size(); i++) {
        out.key(names_[i]);
        items_[i].write(out);
      }
      return out.end_object();
    case Kind::array:
      out.begin_array();
      for (const auto& item : items_) item.write(out);
      return out.end_array();
    case Kind::string: return out.string(text_);
    case Kind::other: return out.raw(text_);
  }
}

Result<Json> ask(Connection& connection, const char* what) {
  const auto text = connection.query(what);
  if (!text) return fail(text.error());
  return Json::parse(*text);
}

Status show_query(Context& context, Words& words, const char* what,
                  const std::function<void(const Json&)>& show) {
  if (auto status = words.done(); !status) return status;
  const auto json = ask(context.connection, what);
  if (!json) return fail(json.error());
  if (context.plain()) {
    show(*json);
  } else {
    json->write(context.json);
  }
  return {};
}

}  // namespace sluice::cli
