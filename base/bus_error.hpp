// A mapped file that somebody truncates raises SIGBUS in whoever touches the lost pages. In a guarded range the process
// goes on instead: the lost page becomes a private one of zeros, and the guard remembers it. Faults elsewhere kill as
// ever. The only signal handler of its kind; guards are made and dropped on control threads, faults come on any.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

// The guard's number, or -1: too many. The first call installs the handler.
int guard_bus_errors(void* start, size_t bytes);
void unguard_bus_errors(int guard);
// Whether a page of the range was lost.
[[nodiscard]] bool saw_bus_error(int guard);

// Pages lost so far, in all ranges together.
[[nodiscard]] uint64_t bus_errors();

}  // namespace sluice
