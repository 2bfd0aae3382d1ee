// Errors on standard error: one line a message, "sluice: " in front.
#pragma once

#include <cstdio>
#include <string>

#include "base/result.hpp"

namespace sluice::cli {

inline void print_error(const Error& error) {
  std::fprintf(stderr, "sluice: %s\n", error.text.c_str());
}

}  // namespace sluice::cli
