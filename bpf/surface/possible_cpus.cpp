#include "bpf/surface/possible_cpus.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/unique_fd.hpp"

namespace sluice::bpf::surface {

uint32_t parse_cpu_list(std::string_view list) {
  uint32_t cpus = 0;
  const char* at = list.data();
  const char* const end = at + list.size();
  while (at < end) {
    uint32_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc() || number >= 1u << 20) return 0;
    cpus = std::max(cpus, number + 1);
    if (next < end && *next != '-' && *next != ',' && *next != '\n') return 0;
    at = next + 1;
  }
  return cpus;
}

uint32_t possible_cpus() {
  const UniqueFd fd(::open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC));
  char text[256];
  const ssize_t length = fd ? ::read(fd.get(), text, sizeof text) : 0;
  const uint32_t cpus = length > 0 ? parse_cpu_list({text, static_cast<size_t>(length)}) : 0;
  if (cpus > 0) return cpus;
  return static_cast<uint32_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_CONF)));
}

}  // namespace sluice::bpf::surface
