// The line that introduces a program in lists and dumps, and the same as members of a JSON object.
#pragma once

#include "cli/tool/program.hpp"

namespace sluice::cli {

void print_prog_line(const Program& program);
void write_prog_head(JsonWriter& out, const Program& program);

}  // namespace sluice::cli
