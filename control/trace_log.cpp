#include "control/trace_log.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "control/report.hpp"

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
  // A worker could fill its ring as fast as we empty it: a bound keeps the control thread in
  // charge.
  for (uint32_t i = 0; i < 100 * kLinesPerSecond && take(line); i++) {
    keep(line);
    if (logged_ < kLinesPerSecond) {
      logged_++;
      log_info("trace: " + line);
    } else {
      suppressed_++;
    }
  }
}

void TraceLog::keep(const std::string& line) {
  const std::lock_guard lock(lock_);
  if (kept_.size() == kKept) kept_.pop_front();
  kept_.push_back(line);
  next_++;
}

uint64_t TraceLog::oldest() const {
  const std::lock_guard lock(lock_);
  return next_ - kept_.size();
}

std::string TraceLog::since(uint64_t first) const {
  const std::lock_guard lock(lock_);
  const uint64_t oldest = next_ - kept_.size();
  const uint64_t from = std::clamp(first, oldest, next_);
  std::string lines;
  for (uint64_t i = from; i < next_; i++)
    lines += (i == from ? "" : ", ") + json_string(kept_[i - oldest]);
  const uint64_t lost = first < oldest ? oldest - first : 0;
  return "{\"next\": " + std::to_string(next_) + ", \"lost\": " + std::to_string(lost) +
         ", \"lines\": [" + lines + "]}";
}

}  // namespace sluice::control
