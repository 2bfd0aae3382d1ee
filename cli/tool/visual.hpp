// A program's control flow as a graph for dot(1), in bpftool's words. Any thread.
#pragma once

#include "cli/tool/program.hpp"

namespace sluice::cli {

// To standard output.
void print_graph(const Program& program);

}  // namespace sluice::cli
