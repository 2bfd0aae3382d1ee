// Who has a file mapped for writing, as /proc tells. Any thread; reads the maps of every process
// that we may look at.
#pragma once

#include <cstddef>

namespace sluice {

// True where a process maps `file` shared and writable; our own mapping at [own, own + bytes) does
// not count. Processes that we may not look at (other users', where we are not root; outside our
// PID namespace) are taken to have none.
[[nodiscard]] bool is_mapped_for_writing(int file, const void* own, size_t bytes);

}  // namespace sluice
