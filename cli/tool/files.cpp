#include "cli/tool/files.hpp"

#include <sys/stat.h>

#include <fstream>
#include <iostream>
#include "base/limits.hpp"

namespace sluice::cli {
namespace {

Result<std::string> read_stream(std::istream& stream, const std::string& what) {
  std::string bytes;
  char piece[65536];
  while (bytes.size() <= kMaxInputBytes && stream) {
    stream.read(piece, sizeof piece);
    bytes.append(piece, static_cast<size_t>(stream.gcount()));
  }
  if (bytes.size() > kMaxInputBytes) {
    const std::string limit = std::to_string(kMaxInputBytes >> 20);
    return fail(EFBIG, what + ": it is larger than " + limit + " MiB");
  }
  if (stream.bad()) return fail(errno_error(errno, what));
  return bytes;
}

}  // namespace

Result<std::string> read_input(const std::string& path) {
  if (path == "-") return read_stream(std::cin, "read standard input");
  struct stat status {};
  // A folder opens, and only its reading fails.
  if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
    return fail(errno_error(EISDIR, "read " + path));
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(errno_error(errno, "open " + path));
  return read_stream(file, "read " + path);
}

Status write_file(const std::string& path, std::span<const uint8_t> bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) return fail(errno_error(errno, "write " + path));
  return {};
}

}  // namespace sluice::cli
