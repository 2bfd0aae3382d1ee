#include "dataplane/capture.hpp"

#include <fcntl.h>
#include <pcap/pcap.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

#include "base/limits.hpp"
#include "dataplane/capture_format.hpp"

namespace sluice::dataplane {
namespace {

constexpr size_t kFileBuffer = 1 << 17;

// The C library ignores a size that comes without memory and stays with 4,096 bytes.
std::unique_ptr<char[]> set_buffer(FILE* file) {
  auto buffer = std::make_unique_for_overwrite<char[]>(kFileBuffer);
  std::setvbuf(file, buffer.get(), _IOFBF, kFileBuffer);
  return buffer;
}

std::string link_type_text(int data_link, uint32_t in_file) {
  const char* name = pcap_datalink_val_to_name(data_link);
  return std::string(name != nullptr ? name : "unknown") + " (" + std::to_string(in_file) + ")";
}

}  // namespace

void PcapClose::operator()(pcap* handle) const { pcap_close(handle); }
void PcapClose::operator()(pcap_dumper* handle) const { pcap_dump_close(handle); }

int CaptureReader::snaplen() const { return pcap_snapshot(pcap_.get()); }

Result<CaptureReader> CaptureReader::open(const std::string& path) {
  const std::string where = "capture " + path;
  FILE* file = path == "-" ? fdopen(dup(STDIN_FILENO), "rb") : std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return fail(errno_error(errno, where));
  auto buffer = set_buffer(file);
  struct stat status {};
  fstat(fileno(file), &status);
  if (S_ISDIR(status.st_mode)) {
    std::fclose(file);
    return fail(errno_error(EISDIR, where));
  }
  const auto header = S_ISREG(status.st_mode) ? read_capture_header(fileno(file)) : std::nullopt;

  char error[PCAP_ERRBUF_SIZE] = "";
  CaptureReader reader;
  reader.path_ = path;
  reader.pcap_ =
      PcapPtr(pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, error),
              PcapClose{std::move(buffer)});
  if (reader.pcap_ == nullptr) {
    std::fclose(file);
    return fail(EINVAL, where + (status.st_size == 0 && S_ISREG(status.st_mode)
                                     ? ": empty file"
                                     : ": " + std::string(error)));
  }
  const int data_link = pcap_datalink(reader.pcap_.get());
  if (data_link != DLT_EN10MB) {
    const uint32_t in_file = header ? header->link_type : static_cast<uint32_t>(data_link);
    return fail(EPROTONOSUPPORT, where + ": link type " + link_type_text(data_link, in_file) +
                                     ": only Ethernet captures are replayed");
  }
  // Of a pipe the resolution is not known: nanoseconds lose nothing.
  reader.nanoseconds_ = header ? header->nanoseconds : true;
  reader.file_bytes_ = S_ISREG(status.st_mode) ? static_cast<uint64_t>(status.st_size) : 0;
  return reader;
}

CaptureReader::Next CaptureReader::next(CaptureRecord& record) {
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  const int result = pcap_next_ex(pcap_.get(), &header, &bytes);
  if (result == PCAP_ERROR_BREAK) return Next::end;
  if (result != 1) return Next::error;
  if (header->caplen > kMaxPacket) {
    too_long_ = true;
    return Next::error;
  }
  records_++;
  record = {bytes, header->caplen, header->len, header->ts.tv_sec,
            static_cast<uint32_t>(header->ts.tv_usec)};
  return Next::record;
}

Error CaptureReader::error() const {
  const std::string why =
      too_long_ ? "longer than " + std::to_string(kMaxPacket) + " bytes" : pcap_geterr(pcap_.get());
  return {EINVAL, "capture " + path_ + ": packet " + std::to_string(records_ + 1) + ": " + why};
}

uint64_t CaptureReader::read_bytes() const {
  const long at = std::ftell(pcap_file(pcap_.get()));
  return at < 0 ? 0 : static_cast<uint64_t>(at);
}

Result<CaptureWriter> CaptureWriter::create(const std::string& path, const CaptureFormat& format) {
  const std::string where = "write " + path;
  CaptureWriter writer;
  writer.path_ = path;
  writer.nanoseconds_ = format.nanoseconds;
  struct stat status {};
  const bool direct = path == "-" || (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode));
  int fd = -1;
  if (path == "-") {
    fd = dup(STDOUT_FILENO);
  } else if (direct) {
    fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    // A link stays one: its target is what gets replaced.
    if (char* real = realpath(path.c_str(), nullptr); real != nullptr) {
      writer.path_ = real;
      std::free(real);
    }
    writer.temporary_ = writer.path_ + ".XXXXXX";
    fd = mkostemp(writer.temporary_.data(), O_CLOEXEC);
    if (fd < 0) writer.temporary_.clear();
  }
  if (fd < 0) return fail(errno_error(errno, where));
  if (!direct) {
    const mode_t mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask);
  }
  FILE* file = fdopen(fd, "wb");
  if (file == nullptr) {
    const int error = errno;
    ::close(fd);
    return fail(errno_error(error, where));
  }
  auto buffer = set_buffer(file);
  writer.pcap_.reset(pcap_open_dead_with_tstamp_precision(
      DLT_EN10MB, format.snaplen,
      format.nanoseconds ? PCAP_TSTAMP_PRECISION_NANO : PCAP_TSTAMP_PRECISION_MICRO));
  // pcap_dump_fopen closes the file when it fails.
  if (writer.pcap_ != nullptr) {
    writer.dumper_ = {pcap_dump_fopen(writer.pcap_.get(), file), PcapClose{std::move(buffer)}};
  }
  if (writer.dumper_ == nullptr) return fail(EIO, where + ": cannot write its header");
  return writer;
}

CaptureWriter::~CaptureWriter() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

bool CaptureWriter::write(const CaptureRecord& record) {
  pcap_pkthdr header{};
  header.ts.tv_sec = record.seconds;
  header.ts.tv_usec = nanoseconds_ ? record.nanoseconds : record.nanoseconds / 1000;
  header.caplen = record.captured;
  header.len = record.wire_length;
  pcap_dump(reinterpret_cast<u_char*>(dumper_.get()), &header, record.bytes);
  if (std::ferror(pcap_dump_file(dumper_.get())) == 0) [[likely]] return true;
  if (write_error_ == 0) write_error_ = errno != 0 ? errno : EIO;
  return false;
}

Status CaptureWriter::commit() {
  const std::string where = "write " + path_;
  if (write_error_ == 0 && pcap_dump_flush(dumper_.get()) != 0)
    write_error_ = errno != 0 ? errno : EIO;
  if (write_error_ != 0) return fail(errno_error(write_error_, where));
  if (temporary_.empty()) return {};
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return fail(errno_error(errno, where));
  temporary_.clear();
  return {};
}

}  // namespace sluice::dataplane
