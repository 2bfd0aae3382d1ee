// The end of commands that run until somebody ends them: SIGINT, SIGTERM, or their reader is gone.
// The main thread.
#pragma once

#include <chrono>

namespace sluice::cli {

// From here on the first SIGINT or SIGTERM only makes interrupted() true, and a second one ends the
// process.
void catch_interrupts();
[[nodiscard]] bool interrupted();
// Sleeps, or less long when interrupted. False: interrupted.
bool pause_for(std::chrono::milliseconds time);

}  // namespace sluice::cli
