// Capture files made byte by byte, in either byte order, for tests of reading and writing them.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace sluice::dataplane {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    char name[] = "/tmp/sluice-test-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] size_t count() const {
    const std::filesystem::directory_iterator files(path_);
    return static_cast<size_t>(std::distance(files, std::filesystem::directory_iterator()));
  }

 private:
  std::string path_;
};

inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}
inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct PcapBytes {
  bool big_endian = false;
  std::string bytes;

  void u32(uint32_t value) {
    for (int i = 0; i < 4; i++)
      bytes += static_cast<char>(value >> (big_endian ? 24 - 8 * i : 8 * i));
  }
  void u16(uint16_t value) {
    bytes += static_cast<char>(big_endian ? value >> 8 : value);
    bytes += static_cast<char>(big_endian ? value : value >> 8);
  }
  void header(uint32_t magic = 0xa1b2c3d4, uint32_t link_type = 1, uint32_t snaplen = 262144) {
    u32(magic);
    u16(2);
    u16(4);
    u32(0);
    u32(0);
    u32(snaplen);
    u32(link_type);
  }
  void record(uint32_t seconds, uint32_t fraction, const std::string& packet,
              uint32_t wire_length = 0) {
    u32(seconds);
    u32(fraction);
    u32(static_cast<uint32_t>(packet.size()));
    u32(wire_length != 0 ? wire_length : static_cast<uint32_t>(packet.size()));
    bytes += packet;
  }
};

// An Ethernet frame of `length` bytes whose last one is `tag`.
inline std::string frame(size_t length, char tag) {
  std::string bytes(length, '\x11');
  bytes[12] = '\x08';
  bytes[13] = '\x00';
  bytes.back() = tag;
  return bytes;
}

// A little-endian microsecond capture of `count` frames, 60 bytes and more, tagged 0, 1, 2...
inline std::string numbered_capture(uint32_t count) {
  PcapBytes capture;
  capture.header();
  for (uint32_t i = 0; i < count; i++)
    capture.record(1000 + i, i, frame(60 + i % 1000, static_cast<char>(i)));
  return capture.bytes;
}

}  // namespace sluice::dataplane
