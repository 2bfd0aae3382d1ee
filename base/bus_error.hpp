// A mapped file raises SIGBUS in whoever touches a page that the file does not have: it was
// truncated, or its file system has no room for a page of a hole. In a guarded range the process
// goes on instead: the page becomes a private one of zeros, which never reaches the file, and the
// guard remembers it. Faults elsewhere kill as ever. The only signal handler of its kind; guards
// are made and dropped on control threads, faults come on any.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

// The worst that happened to a range's file: its size is as it was and pages found no room, or it
// is shorter than what is mapped.
enum class FileLoss { none, no_room, truncated };

// The guard's number, or -1: too many. `file` is mapped from its beginning, and stays open as long
// as the guard. The first call installs the handler.
int guard_bus_errors(void* start, size_t bytes, int file);
void unguard_bus_errors(int guard);
[[nodiscard]] FileLoss file_loss(int guard);

// Pages lost so far, in all ranges together.
[[nodiscard]] uint64_t bus_errors();

}  // namespace sluice
