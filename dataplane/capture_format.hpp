// What libpcap does not tell about a capture file: its link type's number as written, and its time
// resolution.
#pragma once

#include <cstdint>
#include <optional>

namespace sluice::dataplane {

struct CaptureHeader {
  uint32_t link_type = 0;    // LINKTYPE_*, of the first interface
  bool nanoseconds = false;  // finer than 1 us, on any interface
};

// Reads the file's first blocks with pread; nothing where it is no file or no capture.
std::optional<CaptureHeader> read_capture_header(int fd);

}  // namespace sluice::dataplane
