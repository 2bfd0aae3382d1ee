#include "bpf/helpers/bodies.hpp"

#include <ctime>

#include "bpf/helpers/trace.hpp"

namespace sluice::bpf {
namespace {

// A line under construction; what does not fit is cut.
struct Line {
  char text[TraceSink::kLineLength];
  uint32_t length = 0;

  void put(char c) {
    if (length < sizeof text) text[length++] = c;
  }
  void put_number(uint64_t value, uint32_t base) {
    char digits[20];
    int count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (count > 0) put(digits[--count]);
  }
};

// One conversion (behind its '%') at format[at]; false if it is none of %d %i %u %x %p %% with l or ll in front.
bool put_conversion(Line& line, const char* format, uint32_t size, uint32_t& at, uint64_t value, bool& used) {
  int longs = 0;
  while (at < size && format[at] == 'l' && longs < 2) {
    longs++;
    at++;
  }
  if (at >= size) return false;
  used = true;
  const bool wide = longs > 0;
  switch (format[at++]) {
    case 'd':
    case 'i': {
      const int64_t number = wide ? static_cast<int64_t>(value) : static_cast<int32_t>(value);
      if (number < 0) line.put('-');
      line.put_number(number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number), 10);
      return true;
    }
    case 'u': line.put_number(wide ? value : static_cast<uint32_t>(value), 10); return true;
    case 'x': line.put_number(wide ? value : static_cast<uint32_t>(value), 16); return true;
    case 'p': line.put_number(value, 16); return longs == 0;
    case '%':
      line.put('%');
      used = false;
      return longs == 0;
    default: return false;
  }
}

}  // namespace
}  // namespace sluice::bpf

extern "C" uint64_t sluice_helper_ktime_get_ns(sluice::bpf::PacketContext*, uint64_t, uint64_t, uint64_t, uint64_t,
                                               uint64_t) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);  // vDSO, no system call
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

// -EINVAL for a format without terminating zero, with an unknown conversion or with more than three arguments.
extern "C" uint64_t sluice_helper_trace_printk(sluice::bpf::PacketContext* ctx, uint64_t format_address, uint64_t size64,
                                               uint64_t a, uint64_t b, uint64_t c) {
  using namespace sluice::bpf;
  const auto* format = reinterpret_cast<const char*>(format_address);
  const auto size = static_cast<uint32_t>(size64);
  if (size == 0 || format[size - 1] != 0) return as_return(-EINVAL);
  const uint64_t values[3] = {a, b, c};
  uint32_t next = 0;
  Line line;
  for (uint32_t at = 0; at < size && format[at] != 0;) {
    const char c0 = format[at++];
    if (c0 != '%') {
      line.put(c0);
      continue;
    }
    bool used = false;
    if (!put_conversion(line, format, size, at, next < 3 ? values[next] : 0, used)) return as_return(-EINVAL);
    if (used && next++ >= 3) return as_return(-EINVAL);
  }
  while (line.length > 0 && line.text[line.length - 1] == '\n') line.length--;
  if (ctx->env->trace != nullptr) ctx->env->trace->put(line.text, line.length);
  return line.length;
}
