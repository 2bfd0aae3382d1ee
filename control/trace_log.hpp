// Lines that programs wrote with bpf_trace_printk, to the log at a bounded rate. Control thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace sluice::control {

class TraceLog {
 public:
  static constexpr uint32_t kLinesPerSecond = 100;

  // Takes all lines that wait; logs those within the rate and counts the others, to say so once a second.
  void drain(const std::function<bool(std::string&)>& take);

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point window_ = Clock::now();
  uint32_t logged_ = 0;
  uint64_t suppressed_ = 0;
};

}  // namespace sluice::control
