// Whole files of the command line: "-" is standard input. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.hpp"

namespace sluice::cli {

// At most kMaxInputBytes. errors: the open's or the read's errno, EFBIG, with the path.
Result<std::string> read_input(const std::string& path);
Status write_file(const std::string& path, std::span<const uint8_t> bytes);

}  // namespace sluice::cli
