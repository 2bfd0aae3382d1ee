// The configuration as plain structs: what the YAML said, checked for everything that can be known
// without loading a program or opening a port. Made by config/parse.hpp; immutable afterwards, any
// thread. Each part keeps the place it was written at, so that later stages (a program that does
// not verify, a map that no program has) can name it too.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sluice::config {

struct Position {
  uint32_t line = 0;  // both from 1; 0: not in the file
  uint32_t column = 0;
};

template <class T>
struct Located {
  T value{};
  Position at;
};
using Text = Located<std::string>;

enum class Hugepages { automatic, always, never };

struct Eal {
  std::vector<uint32_t> cores;  // empty: the first allowed CPU
  uint32_t memory_mb = 0;       // 0: EAL's choice
  Hugepages hugepages = Hugepages::automatic;
  std::vector<std::string> extra_args;
  Position at;
};

struct Port {
  Text name;
  Text device;                       // a PCI address or a DPDK vdev string
  uint32_t rx_queues = 1;
  std::optional<bool> idle_backoff;  // unset: on for virtual devices, off for PCI addresses
};

struct Program {
  Text name;
  Text object;            // as written; empty: a filter
  std::string path;       // of the object, resolved
  std::string function;   // inside the object; empty: its only program
  std::optional<Text> filter;
  std::optional<Text> pin;
};

enum class Action { none, forward, reflect, drop };

struct Attach {
  Text port;
  std::vector<Text> programs;
  Action action = Action::none;  // none drops what passes, counted
  Text forward;                  // port name, with Action::forward
  Position at;
};

// pins and api: who may use them.
struct Access {
  std::string path;
  uint32_t mode = 0;
  std::string uid;
  std::string gid;
  Position at;
};

enum class Licence { kernel, gpl_only };

enum class JitHarden { none, unprivileged, all };  // as bpf::JitHarden

enum class Decode { uint, hex, string, inet_ip, static_map };

struct Decoder {
  Decode kind = Decode::uint;
  std::map<std::string, std::string> static_map;
  // static_map: what it does not name goes through as it is, not as "unknown:..."
  bool allow_unknown = false;
};

struct Label {
  Text name;
  uint32_t size = 0;     // bytes of the key it is made of
  uint32_t padding = 0;  // bytes of the key after them that mean nothing
  std::vector<Decoder> decoders;
};

struct Metric {
  bool counter = true;  // else a gauge
  Text name;
  std::string help;
  Text map;             // as written
  std::string program;  // of "program/map"; empty: `map` is a pin path
  std::string map_name;
  std::vector<Label> labels;
};

struct Metrics {
  std::optional<Text> listen;  // "address:port"
  std::vector<Metric> metrics;
};

struct Config {
  std::string file;
  Eal eal;
  std::vector<Port> ports;
  std::vector<Program> programs;
  std::vector<Attach> attach;
  std::optional<Access> pins;
  std::optional<Access> api;
  Licence licence = Licence::kernel;
  bool jit = true;
  JitHarden jit_harden = JitHarden::none;
  Metrics metrics;

  [[nodiscard]] const Port* find_port(const std::string& name) const;
  [[nodiscard]] const Program* find_program(const std::string& name) const;
  // "file:line:column".
  [[nodiscard]] std::string place(const Position& at) const;
  // "file:line:column: message", the form of every error that a configuration causes.
  [[nodiscard]] std::string message(const Position& at, const std::string& text) const;
};

}  // namespace sluice::config
