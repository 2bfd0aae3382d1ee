// Any bytes as a capture file: records within bounds, or an error; never a crash or an endless
// read.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/unique_fd.hpp"
#include "dataplane/capture.hpp"

using sluice::dataplane::CaptureReader;
using sluice::dataplane::CaptureRecord;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const sluice::UniqueFd file(memfd_create("capture", MFD_CLOEXEC));
  if (!file || write(file.get(), data, size) != static_cast<ssize_t>(size)) std::abort();
  auto reader = CaptureReader::open("/proc/self/fd/" + std::to_string(file.get()));
  if (!reader) return 0;
  CaptureRecord record{};
  CaptureReader::Next next;
  volatile uint8_t last = 0;
  while ((next = reader->next(record)) == CaptureReader::Next::record) {
    if (record.captured != 0) last = record.bytes[record.captured - 1];
    if (reader->records() > size) std::abort();
  }
  if (next == CaptureReader::Next::error && reader->error().text.empty()) std::abort();
  (void)last;
  return 0;
}
