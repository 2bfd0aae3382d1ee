// Capture files: a reader for what libpcap reads, and a writer whose file appears whole or not at
// all.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "base/result.hpp"

// libpcap's types, by name alone: its header and linux/bpf.h both define struct bpf_insn.
struct pcap;
struct pcap_dumper;

namespace sluice::dataplane {

struct PcapClose {
  std::unique_ptr<char[]> buffer;  // of the handle's file, which goes first
  void operator()(pcap* handle) const;
  void operator()(pcap_dumper* handle) const;
};
using PcapPtr = std::unique_ptr<pcap, PcapClose>;

struct CaptureRecord {
  const uint8_t* bytes;  // libpcap's, until the next record
  uint32_t captured;
  uint32_t wire_length;
  int64_t seconds;
  uint32_t nanoseconds;
};

class CaptureReader {
 public:
  // errors: as open(2); not a capture; a link type other than Ethernet. The texts begin with
  // "capture PATH:".
  static Result<CaptureReader> open(const std::string& path);

  enum class Next { record, end, error };
  Next next(CaptureRecord& record);
  [[nodiscard]] Error error() const;  // after Next::error: names file and packet number

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int snaplen() const;
  // the file's own resolution is finer than 1 us
  [[nodiscard]] bool nanoseconds() const { return nanoseconds_; }
  [[nodiscard]] uint64_t records() const { return records_; }
  [[nodiscard]] uint64_t file_bytes() const { return file_bytes_; }
  [[nodiscard]] uint64_t read_bytes() const;

 private:
  CaptureReader() = default;
  std::string path_;
  PcapPtr pcap_;
  bool nanoseconds_ = false;
  bool too_long_ = false;
  uint64_t records_ = 0;
  uint64_t file_bytes_ = 0;
};

struct CaptureFormat {
  int snaplen = 262144;
  bool nanoseconds = false;
};

class CaptureWriter {
 public:
  // Writes beside `path` until commit() renames it there; a path that is no regular file (a pipe,
  // /dev/null, "-" for standard output) is written directly.
  static Result<CaptureWriter> create(const std::string& path, const CaptureFormat& format);
  CaptureWriter(CaptureWriter&&) = default;
  CaptureWriter& operator=(CaptureWriter&&) = delete;
  ~CaptureWriter();  // without commit: nothing is left

  // False: the device refused earlier bytes; commit() then says why.
  bool write(const CaptureRecord& record);
  Status commit();

 private:
  CaptureWriter() = default;
  std::string path_;
  std::string temporary_;  // empty: written directly, or moved in place
  PcapPtr pcap_;
  std::unique_ptr<pcap_dumper, PcapClose> dumper_;
  int write_error_ = 0;
  bool nanoseconds_ = false;
};

}  // namespace sluice::dataplane
