#include "config/schema.hpp"

#include <algorithm>

namespace sluice::config {

namespace {

template <class Items>
auto* find_by_name(const Items& items, const std::string& name) {
  const auto found = std::find_if(items.begin(), items.end(),
                                  [&](const auto& item) { return item.name.value == name; });
  return found == items.end() ? nullptr : &*found;
}

}  // namespace

const Port* Config::find_port(const std::string& name) const { return find_by_name(ports, name); }
const Program* Config::find_program(const std::string& name) const {
  return find_by_name(programs, name);
}

std::string Config::place(const Position& at) const {
  return at.line == 0 ? file
                      : file + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
}

std::string Config::message(const Position& at, const std::string& text) const {
  return place(at) + ": " + text;
}

}  // namespace sluice::config
