#include "bpf/maps/map_memory.hpp"

#include <sys/mman.h>

#include <utility>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14, newer than Debian 12's libc
#endif

namespace sluice::bpf {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kHugePage = 2u << 20;
constexpr uint64_t kFaultInLimit = 256u << 20;  // more would stall the control thread for long

}  // namespace

Result<MapMemory> MapMemory::allocate(uint64_t bytes, bool fault_in) {
  uint64_t rounded = (bytes + kPage - 1) / kPage * kPage;
  void* data = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return fail(ENOMEM, "no memory for " + std::to_string(bytes) + " bytes");
  MapMemory memory;
  memory.data_ = static_cast<uint8_t*>(data);
  memory.bytes_ = rounded;
  // Refused where the kernel has no huge pages, which only costs speed.
  if (rounded >= kHugePage) (void)madvise(data, rounded, MADV_HUGEPAGE);
  if (fault_in && rounded <= kFaultInLimit && madvise(data, rounded, MADV_POPULATE_WRITE) != 0 && errno == ENOMEM) {
    return fail(ENOMEM, "no memory for " + std::to_string(bytes) + " bytes");
  }
  return memory;
}

MapMemory::MapMemory(MapMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

MapMemory& MapMemory::operator=(MapMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MapMemory::~MapMemory() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

}  // namespace sluice::bpf
