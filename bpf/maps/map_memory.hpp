// A map's memory: zeroed, page-aligned. Anonymous and private to the daemon; or a file's, so that
// clients can map it too or that it outlives the daemon (map_store.hpp). Control threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bus_error.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sluice::bpf {

class MapStore;

class MapMemory {
 public:
  // `fault_in`: take the pages now, not under a packet (large ones are left to first use). ENOMEM.
  static Result<MapMemory> allocate(uint64_t bytes, bool fault_in);
  // A memory file named "bpf-map", sealed so that whoever holds a descriptor can map but not resize
  // it.
  static Result<MapMemory> allocate_shared(uint64_t bytes, bool fault_in = true);
  // A file opened for reading and writing, at least rounded(bytes) long. Pages that it loses
  // or has no room for while it is mapped become private zeros, and file_loss() says so
  // (base/bus_error.hpp).
  static Result<MapMemory> map_file(UniqueFd file, uint64_t bytes, bool fault_in);
  // The part of `store` of that name, or, where that is null, anonymous memory.
  static Result<MapMemory> allocate_in(MapStore* store, const char* part, uint64_t bytes,
                                       bool fault_in);
  // Up to whole pages.
  static uint64_t rounded(uint64_t bytes);

  MapMemory() = default;
  MapMemory(MapMemory&& other) noexcept;
  MapMemory& operator=(MapMemory&& other) noexcept;
  ~MapMemory();

  [[nodiscard]] uint8_t* data() const { return data_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  [[nodiscard]] int file() const { return file_.get(); }  // -1: anonymous
  [[nodiscard]] FileLoss file_loss() const;
  // Whether somebody else has the file mapped for writing (base/file_mappings.hpp has what it
  // cannot see).
  [[nodiscard]] bool mapped_for_writing() const;

 private:
  static Result<MapMemory> map(UniqueFd file, uint64_t bytes, bool fault_in);

  UniqueFd file_;
  uint8_t* data_ = nullptr;
  uint64_t bytes_ = 0;
  int guard_ = -1;  // of base/bus_error.hpp
};

}  // namespace sluice::bpf
