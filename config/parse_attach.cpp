#include "base/limits.hpp"
#include "config/reader.hpp"

namespace sluice::config {

namespace {

// The action words exclude each other; the one that comes second is the mistake.
void set_action(Reader& reader, Position at, Attach& attach, Action action) {
  if (attach.action != Action::none) {
    reader.error(at, "attach: forward, reflect and drop exclude each other", "keep one");
    return;
  }
  attach.action = action;
}

void read_flag(Reader& reader, const YAML::Node& node, const char* word, Attach& attach,
               Action action) {
  bool on = false;
  if (!reader.boolean(node, std::string("attach: ") + word, on)) return;
  if (!on) {
    reader.error(position(node), std::string("attach: ") + word + ": can only be true",
                 "leave it out");
    return;
  }
  set_action(reader, position(node), attach, action);
}

Attach read_one(Reader& reader, const YAML::Node& node) {
  Attach attach;
  attach.at = position(node);
  reader.mapping(
      node, "attach",
      {{"port", [&](const auto& value) { reader.name(value, "attach: port", attach.port); }, true},
       {"programs",
        [&](const auto& value) {
          reader.sequence(value, "attach: programs", [&](const YAML::Node& item) {
            Text name;
            if (reader.name(item, "attach: programs", name))
              attach.programs.push_back(std::move(name));
          });
          if (attach.programs.size() > kMaxChainPrograms) {
            reader.error(position(value),
                         "attach: programs: more than " + std::to_string(kMaxChainPrograms));
          }
        }},
       {"forward",
        [&](const auto& value) {
          if (!reader.name(value, "attach: forward", attach.forward)) return;
          set_action(reader, attach.forward.at, attach, Action::forward);
        }},
       {"reflect",
        [&](const auto& value) { read_flag(reader, value, "reflect", attach, Action::reflect); }},
       {"drop",
        [&](const auto& value) { read_flag(reader, value, "drop", attach, Action::drop); }}});
  return attach;
}

template <class Items>
std::vector<std::string> names_of(const Items& items) {
  std::vector<std::string> names;
  for (const auto& item : items) names.push_back(item.name.value);
  return names;
}

void check_port(Reader& reader, const Config& config, const Text& port, const std::string& what) {
  if (port.value.empty() || config.find_port(port.value) != nullptr) return;
  std::string hint = did_you_mean(port.value, names_of(config.ports));
  if (hint.empty()) hint = "add it to ports";
  reader.error(port.at, what + ": no port \"" + port.value + "\"", hint);
}

}  // namespace

void read_attach(Reader& reader, const YAML::Node& node, std::vector<Attach>& attach) {
  reader.sequence(node, "attach",
                  [&](const YAML::Node& item) { attach.push_back(read_one(reader, item)); });
}

void check_attach(Reader& reader, const Config& config) {
  for (size_t i = 0; i < config.attach.size(); i++) {
    const Attach& attach = config.attach[i];
    check_port(reader, config, attach.port, "attach: port");
    check_port(reader, config, attach.forward, "attach: forward");
    if (attach.action == Action::forward && attach.forward.value == attach.port.value) {
      reader.error(attach.forward.at, "attach: forward to the port itself",
                   "reflect: true sends packets back");
    }
    for (const auto& name : attach.programs) {
      if (config.find_program(name.value) != nullptr) continue;
      std::string hint = did_you_mean(name.value, names_of(config.programs));
      if (hint.empty()) hint = "add it to programs";
      reader.error(name.at, "attach: no program \"" + name.value + "\"", hint);
    }
    for (size_t j = 0; j < i; j++) {
      if (attach.port.value.empty() || config.attach[j].port.value != attach.port.value) continue;
      reader.error(attach.port.at, "attach: port \"" + attach.port.value + "\" is attached twice",
                   "list all its programs in the attach in line " +
                       std::to_string(config.attach[j].port.at.line));
    }
  }
}

}  // namespace sluice::config
