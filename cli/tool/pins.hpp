// Where objects are pinned, and the verbs that pin. The session's thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/tool/objects.hpp"

namespace sluice::cli {

// The paths of pinned objects below the connection's pin directory, by kind and id.
using Pins = std::map<std::pair<Kind, uint32_t>, std::vector<std::string>>;
Pins find_pins(Connection& connection);
// The same where -f asks for them; else none.
Pins wanted_pins(Context& context);
// The lines and the JSON member of one object's pins; nothing where it has none.
void print_pins(const Pins& pins, Kind kind, uint32_t id);
void write_pins(JsonWriter& out, const Pins& pins, Kind kind, uint32_t id);

// Pins `fd` at `path`, with an error that says why not.
Status pin_object(const Connection& connection, int fd, const std::string& path);

// `pin OBJECT FILE`.
Status pin_named(Context& context, Words& words, Kind kind);
template <Kind kind>
Status pin_verb(Context& context, Words& words) {
  return pin_named(context, words, kind);
}

}  // namespace sluice::cli
