// The programs of kind `program`: their sources, and what their maps hold before the first packet.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tests/bench/traffic.hpp"

namespace sluice::bench {

// Puts one element into a map, in every contestant's copy.
using Put = std::function<void(const char* map, const void* key, const void* value)>;

struct ProgramRow {
  const char* name;
  const char* source;  // relative to the project's root
  const char* entry;   // its function
  void (*fill)(const Traffic& traffic, const Put& put);
  std::vector<const char*> compared;  // maps whose contents must agree; those with times in them cannot
  bool maps = true;
};

std::span<const ProgramRow> program_rows();

}  // namespace sluice::bench
