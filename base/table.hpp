// Tables for people. Pure.
#pragma once

#include <string>
#include <vector>

namespace sluice {

// Rows of cells as text, columns aligned: the first to the left, the others to the right.
[[nodiscard]] std::string format_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace sluice
