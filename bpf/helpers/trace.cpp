#include "bpf/helpers/trace.hpp"

#include <cstring>

namespace sluice::bpf {

void TraceSink::put(const char* text, uint32_t length) {
  const uint32_t head = head_.load(std::memory_order_relaxed);
  if (head - tail_.load(std::memory_order_acquire) == kLines) {
    dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return;
  }
  Line& line = lines_[head % kLines];
  line.length = length < kLineLength ? length : kLineLength;
  std::memcpy(line.text, text, line.length);
  head_.store(head + 1, std::memory_order_release);
}

bool TraceSink::take(std::string& line) {
  const uint32_t tail = tail_.load(std::memory_order_relaxed);
  if (tail == head_.load(std::memory_order_acquire)) return false;
  const Line& from = lines_[tail % kLines];
  line.assign(from.text, from.length);
  tail_.store(tail + 1, std::memory_order_release);
  return true;
}

}  // namespace sluice::bpf
