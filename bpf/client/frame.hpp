// Building and reading frames of the API socket. A FrameReader never reads outside its bytes,
// whatever they hold; after the first part that is not there it gives nothing more. No state beyond
// the objects; any thread.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "bpf/client/socket_protocol.hpp"

namespace sluice::bpf::wire {

inline constexpr size_t padded(size_t size) { return (size + 7) & ~size_t{7}; }

class FrameWriter {
 public:
  explicit FrameWriter(FrameType type) {
    put(FrameHeader{0, static_cast<uint16_t>(type), kVersion});
  }

  template <class Part>
  void put(const Part& part) {
    static_assert(std::is_trivially_copyable_v<Part> && sizeof(Part) % 8 == 0);
    append(&part, sizeof part);
  }
  void put_bytes(const void* bytes, size_t size) {
    append(bytes, size);
    frame_.resize(padded(frame_.size()));
  }
  [[nodiscard]] size_t size() const { return frame_.size(); }
  // The frame, its size filled in.
  [[nodiscard]] std::vector<char> finish() && {
    const auto size = static_cast<uint32_t>(frame_.size());
    std::memcpy(frame_.data(), &size, sizeof size);
    return std::move(frame_);
  }

 private:
  void append(const void* bytes, size_t size) {
    const auto* from = static_cast<const char*>(bytes);
    frame_.insert(frame_.end(), from, from + size);
  }
  std::vector<char> frame_;
};

class FrameReader {
 public:
  // `frame`: a whole frame with its header, which outlives the reader and what it gives.
  explicit FrameReader(std::span<const char> frame) : rest_(frame) { ok_ = get(&header_); }

  [[nodiscard]] FrameType type() const { return static_cast<FrameType>(header_.type); }
  // False: a part was missing.
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return ok_ && rest_.empty(); }

  template <class Part>
  bool get(Part* part) {
    static_assert(std::is_trivially_copyable_v<Part> && sizeof(Part) % 8 == 0);
    if (!ok_ || rest_.size() < sizeof *part) return ok_ = false;
    std::memcpy(part, rest_.data(), sizeof *part);
    rest_ = rest_.subspan(sizeof *part);
    return true;
  }
  bool get_bytes(uint64_t size, std::span<const char>* bytes) {
    if (!ok_ || size > rest_.size() || padded(size) > rest_.size()) return ok_ = false;
    *bytes = rest_.first(size);
    rest_ = rest_.subspan(padded(size));
    return true;
  }

 private:
  std::span<const char> rest_;
  FrameHeader header_;
  bool ok_ = true;
};

}  // namespace sluice::bpf::wire
