#include "dataplane/capture_format.hpp"

#include <unistd.h>

#include <cstring>
#include <span>
#include <vector>

namespace sluice::dataplane {
namespace {

constexpr uint32_t kMicroseconds = 0xa1b2c3d4;
constexpr uint32_t kNanoseconds = 0xa1b23c4d;
constexpr uint32_t kPatched = 0xa1b2cd34;       // libpcap reads this one too; microseconds
constexpr uint32_t kSectionBlock = 0x0a0d0d0a;  // pcapng
constexpr uint32_t kByteOrder = 0x1a2b3c4d;
constexpr uint32_t kInterfaceBlock = 1;
constexpr uint16_t kTimeResolution = 9;  // interface option

// Fields of a header in the file's byte order; 0 beyond the end.
class Fields {
 public:
  Fields(std::span<const uint8_t> bytes, bool swapped) : bytes_(bytes), swapped_(swapped) {}
  [[nodiscard]] uint32_t u32(size_t at) const {
    uint32_t value = 0;
    if (at + sizeof value <= bytes_.size()) std::memcpy(&value, &bytes_[at], sizeof value);
    return swapped_ ? __builtin_bswap32(value) : value;
  }
  [[nodiscard]] uint16_t u16(size_t at) const {
    uint16_t value = 0;
    if (at + sizeof value <= bytes_.size()) std::memcpy(&value, &bytes_[at], sizeof value);
    return swapped_ ? __builtin_bswap16(value) : value;
  }
  [[nodiscard]] uint8_t u8(size_t at) const { return at < bytes_.size() ? bytes_[at] : 0; }
  [[nodiscard]] size_t size() const { return bytes_.size(); }

 private:
  std::span<const uint8_t> bytes_;
  bool swapped_;
};

// if_tsresol: a power of ten, or of two with the top bit set; finer than 10^-6 and 2^-19.
bool finer_than_microseconds(uint8_t resolution) {
  return (resolution & 0x80) != 0 ? (resolution & 0x7f) > 19 : resolution > 6;
}

bool interface_has_nanoseconds(const Fields& fields, size_t at, size_t end) {
  while (at + 4 <= end && fields.u16(at) != 0) {
    const uint16_t length = fields.u16(at + 2);
    if (fields.u16(at) == kTimeResolution && length == 1)
      return finer_than_microseconds(fields.u8(at + 4));
    at += 4 + ((length + 3u) & ~3u);
  }
  return false;
}

CaptureHeader pcapng_header(const Fields& fields) {
  CaptureHeader header;
  bool first = true;
  for (size_t at = fields.u32(4); at + 12 <= fields.size();) {
    const uint32_t type = fields.u32(at);
    const uint32_t length = fields.u32(at + 4);
    if (length < 12 || length % 4 != 0 || length > fields.size() - at) break;
    if (type == kInterfaceBlock) {
      if (first) header.link_type = fields.u16(at + 8);
      first = false;
      header.nanoseconds |= interface_has_nanoseconds(fields, at + 16, at + length - 4);
    }
    at += length;
  }
  return header;
}

}  // namespace

std::optional<CaptureHeader> read_capture_header(int fd) {
  std::vector<uint8_t> bytes(65536);
  const ssize_t got = pread(fd, bytes.data(), bytes.size(), 0);
  if (got < 24) return std::nullopt;
  bytes.resize(static_cast<size_t>(got));
  uint32_t magic;
  std::memcpy(&magic, bytes.data(), sizeof magic);
  if (magic == kSectionBlock) {
    const bool swapped = Fields(bytes, false).u32(8) != kByteOrder;
    return pcapng_header(Fields(bytes, swapped));
  }
  for (const bool swapped : {false, true}) {
    const uint32_t value = swapped ? __builtin_bswap32(magic) : magic;
    if (value != kMicroseconds && value != kNanoseconds && value != kPatched) continue;
    return CaptureHeader{Fields(bytes, swapped).u32(20) & 0x03ffffff, value == kNanoseconds};
  }
  return std::nullopt;
}

}  // namespace sluice::dataplane
