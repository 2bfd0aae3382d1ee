#include "bpf/maps/map_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "base/file_mappings.hpp"
#include "bpf/maps/map_store.hpp"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14, newer than Debian 12's libc
#endif

namespace sluice::bpf {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kHugePage = 2u << 20;
constexpr uint64_t kFaultInLimit = 256u << 20;  // more would stall the control thread for long

Error no_memory(uint64_t bytes) {
  return {ENOMEM, "no memory for " + std::to_string(bytes) + " bytes"};
}

// The description that memfd_create gives is not counted as an open file by leases; one opened by
// its path is.
UniqueFd open_memory_file(uint64_t bytes) {
  const UniqueFd made(::memfd_create("bpf-map", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!made || ::ftruncate(made.get(), static_cast<off_t>(bytes)) != 0) return {};
  if (::fcntl(made.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0 ||
      ::fchmod(made.get(), 0600) != 0)
    return {};
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", made.get());
  return UniqueFd(::open(path, O_RDWR | O_CLOEXEC));
}

// What is mapped for `size` bytes of anonymous memory: large ones end with a huge page too.
uint64_t anonymous_length(uint64_t size) {
  return size < kHugePage ? size : (size + kHugePage - 1) / kHugePage * kHugePage;
}

// Large ones begin on a huge page's boundary, which kernels before 6.7 do not see to by themselves.
// MAP_FAILED: no memory.
void* map_anonymous(uint64_t size) {
  const uint64_t length = anonymous_length(size);
  const uint64_t spare = length < kHugePage ? 0 : kHugePage;
  void* base =
      ::mmap(nullptr, length + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED || spare == 0) return base;
  const uint64_t front = (kHugePage - reinterpret_cast<uint64_t>(base) % kHugePage) % kHugePage;
  uint8_t* data = static_cast<uint8_t*>(base) + front;
  if (front != 0) ::munmap(base, front);
  if (front != spare) ::munmap(data + length, spare - front);
  return data;
}

}  // namespace

uint64_t MapMemory::rounded(uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

Result<MapMemory> MapMemory::map(UniqueFd file, uint64_t bytes, bool fault_in) {
  const uint64_t size = rounded(bytes);
  void* data = file ? ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0)
                    : map_anonymous(size);
  if (data == MAP_FAILED) return fail(no_memory(bytes));
  MapMemory memory;
  memory.file_ = std::move(file);
  memory.data_ = static_cast<uint8_t*>(data);
  memory.bytes_ = size;
  // Refused where the kernel has no huge pages, which only costs speed.
  if (size >= kHugePage) (void)::madvise(data, size, MADV_HUGEPAGE);
  if (fault_in && size <= kFaultInLimit && ::madvise(data, size, MADV_POPULATE_WRITE) != 0 &&
      errno == ENOMEM) {
    return fail(no_memory(bytes));
  }
  return memory;
}

Result<MapMemory> MapMemory::allocate(uint64_t bytes, bool fault_in) {
  return map({}, bytes, fault_in);
}

Result<MapMemory> MapMemory::allocate_in(MapStore* store, const char* part, uint64_t bytes,
                                         bool fault_in) {
  return store == nullptr ? allocate(bytes, fault_in) : store->part(part, bytes, fault_in);
}

Result<MapMemory> MapMemory::allocate_shared(uint64_t bytes, bool fault_in) {
  UniqueFd file = open_memory_file(rounded(bytes));
  if (!file) return fail(no_memory(bytes));
  return map(std::move(file), bytes, fault_in);
}

Result<MapMemory> MapMemory::map_file(UniqueFd file, uint64_t bytes, bool fault_in) {
  auto memory = map(std::move(file), bytes, fault_in);
  if (!memory) return memory;
  memory->guard_ = guard_bus_errors(memory->data_, memory->bytes_, memory->file());
  if (memory->guard_ < 0) return fail(ENOMEM, "more mapped files than can be guarded");
  return memory;
}

bool MapMemory::mapped_for_writing() const {
  return is_mapped_for_writing(file_.get(), data_, bytes_);
}

FileLoss MapMemory::file_loss() const {
  return guard_ < 0 ? FileLoss::none : sluice::file_loss(guard_);
}

MapMemory::MapMemory(MapMemory&& other) noexcept { *this = std::move(other); }

MapMemory& MapMemory::operator=(MapMemory&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(guard_, other.guard_);
  return *this;
}

MapMemory::~MapMemory() {
  if (guard_ >= 0) unguard_bus_errors(guard_);
  if (data_ != nullptr) ::munmap(data_, file_ ? bytes_ : anonymous_length(bytes_));
}

}  // namespace sluice::bpf
