#include "control/trace_log.hpp"

#include "base/log.hpp"

namespace sluice::control {

void TraceLog::drain(const std::function<bool(std::string&)>& take) {
  const auto now = Clock::now();
  if (now - window_ >= std::chrono::seconds(1)) {
    if (suppressed_ > 0) log_warning("trace: " + std::to_string(suppressed_) + " lines suppressed");
    window_ = now;
    logged_ = 0;
    suppressed_ = 0;
  }
  std::string line;
  // A worker could fill its ring as fast as we empty it: a bound keeps the control thread in charge.
  for (uint32_t i = 0; i < 100 * kLinesPerSecond && take(line); i++) {
    if (logged_ < kLinesPerSecond) {
      logged_++;
      log_info("trace: " + line);
    } else {
      suppressed_++;
    }
  }
}

}  // namespace sluice::control
