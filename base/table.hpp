// Tables for people. Pure.
#pragma once

#include <string>
#include <vector>

namespace sluice {

using Rows = std::vector<std::vector<std::string>>;  // of cells

// Rows as text, columns aligned: the first to the left, the others to the right.
[[nodiscard]] std::string format_table(const Rows& rows);

// A number with `digits` behind the point.
[[nodiscard]] std::string fixed(double value, int digits);

}  // namespace sluice
