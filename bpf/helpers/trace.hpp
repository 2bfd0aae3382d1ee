// bpf_trace_printk's way out: a worker formats a line into a bounded ring, the control thread
// drains it to the log.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace sluice::bpf {

// Single producer (the worker that owns it), single consumer (control). Lines over kLineLength are
// cut, lines that find the ring full are dropped and counted.
class TraceSink {
 public:
  static constexpr uint32_t kLines = 256;
  static constexpr uint32_t kLineLength = 128;

  void put(const char* text, uint32_t length);   // worker
  bool take(std::string& line);                  // control; false: empty
  [[nodiscard]] uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct Line {
    uint32_t length;
    char text[kLineLength];
  };
  std::atomic<uint32_t> head_{0};     // worker: rw, control: ro
  std::atomic<uint32_t> tail_{0};     // control: rw, worker: ro
  std::atomic<uint64_t> dropped_{0};  // worker: rw, control: ro
  Line lines_[kLines];
};

}  // namespace sluice::bpf
