// Copies from and to memory that may not be there, without a system call: a fault ends the copy
// instead of the process. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

// The bytes copied from `address` on: `size`, or fewer where the next cannot be read.
size_t read_carefully(void* to, uint64_t address, size_t size);
// The bytes copied to `address` on: `size`, or fewer where the next cannot be written.
size_t write_carefully(uint64_t address, const void* from, size_t size);

}  // namespace sluice
