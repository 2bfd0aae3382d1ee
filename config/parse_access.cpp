#include <charconv>

#include "config/reader.hpp"

namespace sluice::config {

namespace {

void read_mode(Reader& reader, const YAML::Node& node, const std::string& what, uint32_t& mode) {
  Text digits;
  if (!reader.text(node, what, digits)) return;
  uint32_t value = 0;
  const char* end = digits.value.data() + digits.value.size();
  const auto parsed = std::from_chars(digits.value.data(), end, value, 8);
  if (parsed.ec != std::errc() || parsed.ptr != end || value > 07777) {
    reader.error(digits.at, what + ": \"" + digits.value + "\" is not an octal file mode",
                 "as in mode: \"0700\"");
    return;
  }
  mode = value;
}

}  // namespace

void read_access(Reader& reader, const YAML::Node& node, const std::string& what,
                 const char* path_key, Access& access) {
  access.at = position(node);
  access.mode = 0700;
  reader.mapping(
      node, what,
      {{path_key,
        [&](const auto& value) { reader.text(value, what + ": " + path_key, access.path); }, true},
       {"mode", [&](const auto& value) { read_mode(reader, value, what + ": mode", access.mode); }},
       {"uid", [&](const auto& value) { reader.text(value, what + ": uid", access.uid); }},
       {"gid", [&](const auto& value) { reader.text(value, what + ": gid", access.gid); }}});
}

}  // namespace sluice::config
