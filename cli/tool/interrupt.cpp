#include "cli/tool/interrupt.hpp"

#include <poll.h>
#include <signal.h>

#include <atomic>

namespace sluice::cli {
namespace {

std::atomic<bool> stopped{false};  // handler: set, commands: ro

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { stopped.store(true, std::memory_order_relaxed); };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return stopped.load(std::memory_order_relaxed); }

bool pause_for(std::chrono::milliseconds time) {
  if (!interrupted()) ::poll(nullptr, 0, static_cast<int>(time.count()));
  return !interrupted();
}

}  // namespace sluice::cli
