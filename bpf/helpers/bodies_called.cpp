#include "bpf/helpers/bodies_called.hpp"

#include <sched.h>

#include <cerrno>
#include <ctime>

#include "bpf/helpers/text.hpp"
#include "bpf/helpers/trace.hpp"
#include "bpf/maps/spin_lock_ops.hpp"

using namespace sluice::bpf;

namespace {

constexpr uint64_t kSecond_ns = 1'000'000'000u;

uint64_t read_clock_ns(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);  // vDSO, no system call
  return static_cast<uint64_t>(now.tv_sec) * kSecond_ns + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t as_return(long value) { return static_cast<uint64_t>(value); }

// Copies an array of words; how many, or -EINVAL.
long take_arguments(uint64_t* to, uint64_t data, uint64_t data_size) {
  const auto size = static_cast<uint32_t>(data_size);
  if (size % 8 != 0 || size > kMaxFormatArguments * 8 || (size != 0 && data == 0)) return -EINVAL;
  if (size != 0) __builtin_memcpy(to, reinterpret_cast<const void*>(data), size);
  return size / 8;
}

// Formats a line into the trace; the length of the whole text, or -EINVAL.
long print_line(PacketContext* ctx, uint64_t format_address, uint64_t size64,
                const uint64_t* values, uint32_t count) {
  const auto* format = reinterpret_cast<const char*>(format_address);
  const auto size = static_cast<uint32_t>(size64);
  // The format may lie where others write: it ends with its memory, whatever they do.
  if (size == 0 || format[size - 1] != 0) return -EINVAL;
  char text[TraceSink::kLineLength + 1];
  const long length = format_text(text, sizeof text, {format, size - 1}, values, count);
  if (length < 0) return length;
  uint32_t kept = length < long{TraceSink::kLineLength} ? static_cast<uint32_t>(length)
                                                        : TraceSink::kLineLength;
  while (kept > 0 && text[kept - 1] == '\n') kept--;
  if (ctx->env->trace != nullptr) ctx->env->trace->put(text, kept);
  return length;
}

}  // namespace

extern "C" uint64_t sluice_helper_ktime_get_ns(PacketContext*, uint64_t, uint64_t, uint64_t,
                                               uint64_t, uint64_t) {
  return read_clock_ns(CLOCK_MONOTONIC);
}

extern "C" uint64_t sluice_helper_ktime_get_boot_ns(PacketContext*, uint64_t, uint64_t, uint64_t,
                                                    uint64_t, uint64_t) {
  return read_clock_ns(CLOCK_BOOTTIME);
}

extern "C" uint64_t sluice_helper_ktime_get_coarse_ns(PacketContext*, uint64_t, uint64_t, uint64_t,
                                                      uint64_t, uint64_t) {
  return read_clock_ns(CLOCK_MONOTONIC_COARSE);
}

extern "C" uint64_t sluice_helper_ktime_get_tai_ns(PacketContext*, uint64_t, uint64_t, uint64_t,
                                                   uint64_t, uint64_t) {
  return read_clock_ns(CLOCK_TAI);
}

// The coarse clock moves once a tick, so its resolution is 1/HZ; the count starts five minutes
// before it wraps at 32 bits.
extern "C" uint64_t sluice_helper_jiffies64(PacketContext*, uint64_t, uint64_t, uint64_t, uint64_t,
                                            uint64_t) {
  timespec tick;
  clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
  const uint64_t tick_ns =
      static_cast<uint64_t>(tick.tv_sec) * kSecond_ns + static_cast<uint64_t>(tick.tv_nsec);
  const uint64_t start =
      static_cast<uint32_t>(0 - static_cast<uint32_t>(300 * kSecond_ns / tick_ns));
  return start + read_clock_ns(CLOCK_MONOTONIC_COARSE) / tick_ns;
}

extern "C" uint64_t sluice_helper_get_numa_node_id(PacketContext*, uint64_t, uint64_t, uint64_t,
                                                   uint64_t, uint64_t) {
  unsigned node = 0;
  getcpu(nullptr, &node);
  return node;
}

extern "C" uint64_t sluice_helper_trace_printk(PacketContext* ctx, uint64_t format, uint64_t size,
                                               uint64_t a, uint64_t b, uint64_t c) {
  const uint64_t values[3] = {a, b, c};
  return as_return(print_line(ctx, format, size, values, 3));
}

extern "C" uint64_t sluice_helper_trace_vprintk(PacketContext* ctx, uint64_t format, uint64_t size,
                                                uint64_t data, uint64_t data_size, uint64_t) {
  uint64_t values[kMaxFormatArguments];
  const long count = take_arguments(values, data, data_size);
  return as_return(count < 0 ? count
                             : print_line(ctx, format, size, values, static_cast<uint32_t>(count)));
}

extern "C" uint64_t sluice_helper_snprintf(PacketContext*, uint64_t out, uint64_t room,
                                           uint64_t format, uint64_t data, uint64_t data_size) {
  uint64_t values[kMaxFormatArguments];
  const long count = take_arguments(values, data, data_size);
  if (count < 0) return as_return(count);
  const long length =
      format_text(reinterpret_cast<char*>(out), static_cast<uint32_t>(room),
                  reinterpret_cast<const char*>(format), values, static_cast<uint32_t>(count));
  return as_return(length < 0 ? length : length + 1);
}

extern "C" uint64_t sluice_helper_strncmp(PacketContext*, uint64_t left_address, uint64_t size,
                                          uint64_t right_address, uint64_t, uint64_t) {
  const auto* left = reinterpret_cast<const uint8_t*>(left_address);
  const auto* right = reinterpret_cast<const uint8_t*>(right_address);
  for (uint32_t i = 0; i < static_cast<uint32_t>(size); i++) {
    if (left[i] != right[i]) return as_return(left[i] < right[i] ? -1 : 1);
    if (left[i] == 0) break;
  }
  return 0;
}

extern "C" uint64_t sluice_helper_spin_lock(PacketContext*, uint64_t lock, uint64_t, uint64_t,
                                            uint64_t, uint64_t) {
  spin_lock(reinterpret_cast<uint32_t*>(lock));
  return 0;
}

extern "C" uint64_t sluice_helper_spin_unlock(PacketContext*, uint64_t lock, uint64_t, uint64_t,
                                              uint64_t, uint64_t) {
  spin_unlock(reinterpret_cast<uint32_t*>(lock));
  return 0;
}
