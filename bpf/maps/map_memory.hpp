// A map's memory: anonymous, zeroed, page-aligned, private to the daemon. Control threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.hpp"

namespace sluice::bpf {

class MapMemory {
 public:
  // `fault_in`: take the pages now, not under a packet (large ones are left to first use). ENOMEM.
  static Result<MapMemory> allocate(uint64_t bytes, bool fault_in);

  MapMemory() = default;
  MapMemory(MapMemory&& other) noexcept;
  MapMemory& operator=(MapMemory&& other) noexcept;
  ~MapMemory();

  [[nodiscard]] uint8_t* data() const { return data_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }

 private:
  uint8_t* data_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace sluice::bpf
