// The programs of kind `program`: their sources, and what their maps hold before the first packet.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "bpf/loader/loader.hpp"
#include "tests/bench/kinds.hpp"
#include "tests/bench/traffic.hpp"

namespace sluice::bench {

// Puts one element into a map, in every contestant's copy.
using Put = std::function<void(const char* map, const void* key, const void* value)>;

struct ProgramRow {
  const char* name;
  const char* source;  // relative to the project's root
  const char* entry;   // its function
  void (*fill)(const Traffic& traffic, const Put& put);
  // maps whose contents must agree; those with times in them cannot
  std::vector<const char*> compared;
  bool maps = true;
};

std::span<const ProgramRow> program_rows();

// The row's program, loaded from `object` with maps of its own and filled. *why: it cannot be
// loaded.
bpf::LoadedProgram load_row(Bench& bench, const std::string& object, const ProgramRow& row,
                            const Traffic& traffic, std::string* why);

// A map's values by their keys, of per-CPU maps the sums.
using Contents = std::map<std::string, std::string>;
Contents contents_of(bpf::Map& map);

}  // namespace sluice::bench
