// Lines that programs wrote with bpf_trace_printk: to the log at a bounded rate, and kept for who
// asks. drain: control thread; since: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>

namespace sluice::control {

class TraceLog {
 public:
  static constexpr uint32_t kLinesPerSecond = 100;
  static constexpr size_t kKept = 4096;  // lines

  // Takes all lines that wait; logs those within the rate and counts the others, to say so once a
  // second.
  void drain(const std::function<bool(std::string&)>& take);

  // JSON: the lines kept from number `first` on, `next` (the number of the line to come) and `lost`
  // (how many of those asked for are kept no more).
  [[nodiscard]] std::string since(uint64_t first) const;
  // The number of the oldest line kept.
  [[nodiscard]] uint64_t oldest() const;

 private:
  void keep(const std::string& line);

  using Clock = std::chrono::steady_clock;
  Clock::time_point window_ = Clock::now();
  uint32_t logged_ = 0;
  uint64_t suppressed_ = 0;
  mutable std::mutex lock_;
  std::deque<std::string> kept_;  // under lock_, as is what follows
  uint64_t next_ = 0;
};

}  // namespace sluice::control
