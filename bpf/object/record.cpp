#include "bpf/object/record.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "bpf/object/sha256.hpp"

namespace sluice::bpf {
namespace {

constexpr char kMagic[8] = {'s', 'l', 'u', 'i', 'c', 'e', 'r', '\n'};
constexpr uint64_t kVersion = 2;
constexpr uint64_t kRecordMax = 64u << 20;  // BTF of 16 MB and a million instructions fit

struct Header {
  char magic[8];
  uint64_t version;
  uint64_t size;
  std::array<uint8_t, 32> digest;  // of what follows
};

bool write_all(int fd, const void* from, size_t size) {
  const auto* at = static_cast<const char*>(from);
  while (size > 0) {
    const ssize_t written = ::write(fd, at, size);
    if (written <= 0) return false;
    at += written;
    size -= static_cast<size_t>(written);
  }
  return true;
}

bool read_all(int fd, void* to, size_t size) {
  auto* at = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t length = ::read(fd, at, size);
    if (length <= 0) return false;
    at += length;
    size -= static_cast<size_t>(length);
  }
  return true;
}

}  // namespace

Status write_record(int directory, const std::string& name, const Bytes& bytes) {
  const std::string temporary = "tmp." + name;
  const UniqueFd file(::openat(directory, temporary.c_str(),
                               O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  Header header{.magic = {}, .version = kVersion, .size = bytes.size(), .digest = sha256(bytes)};
  std::copy(std::begin(kMagic), std::end(kMagic), header.magic);
  if (!file || !write_all(file.get(), &header, sizeof header) ||
      !write_all(file.get(), bytes.data(), bytes.size()) ||
      ::renameat(directory, temporary.c_str(), directory, name.c_str()) != 0) {
    const int code = errno;
    ::unlinkat(directory, temporary.c_str(), 0);
    return fail(errno_error(code, "write " + name));
  }
  return {};
}

Result<Bytes> read_record(int directory, const std::string& name) {
  const UniqueFd file(
      ::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return fail(errno_error(errno, "open " + name));
  struct stat status;
  Header header;
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return fail(EBADMSG, name + ": not a file");
  if (!read_all(file.get(), &header, sizeof header) ||
      std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) {
    return fail(EBADMSG, name + ": not a record of sluice's");
  }
  if (header.version != kVersion)
    return fail(EBADMSG, name + ": of version " + std::to_string(header.version));
  if (header.size > kRecordMax ||
      static_cast<uint64_t>(status.st_size) != sizeof header + header.size) {
    return fail(EBADMSG, name + ": " + std::to_string(status.st_size) + " bytes, not " +
                             std::to_string(sizeof header + header.size));
  }
  Bytes bytes(header.size);
  if (!read_all(file.get(), bytes.data(), bytes.size()) || sha256(bytes) != header.digest) {
    return fail(EBADMSG, name + ": its contents do not match its digest");
  }
  return bytes;
}

RecordFile::~RecordFile() {
  if (!directory_->leaving.load()) ::unlinkat(directory_->fd.get(), name_.c_str(), 0);
}

}  // namespace sluice::bpf
