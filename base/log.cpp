#include "base/log.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <string>

namespace sluice {
namespace {

std::atomic<LogLevel> lowest_level{LogLevel::info};  // control: rw
constexpr std::array<std::string_view, 4> kNames{"debug", "info", "warning", "error"};

}  // namespace

void set_log_level(LogLevel lowest) { lowest_level = lowest; }

void log(LogLevel level, std::string_view text) {
  if (level < lowest_level.load(std::memory_order_relaxed)) return;
  // One write, so that lines of two threads do not mix.
  std::string line("sluice: ");
  line.append(kNames[static_cast<size_t>(level)]).append(": ").append(text).push_back('\n');
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace sluice
