#include "cli/tool/files.hpp"

#include <sys/stat.h>

#include <fstream>
#include <iostream>
#include <iterator>

namespace sluice::cli {

Result<std::string> read_input(const std::string& path) {
  if (path == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  struct stat status {};
  // A folder opens, and only its reading fails.
  if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return fail(errno_error(EISDIR, "read " + path));
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(errno_error(errno, "open " + path));
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  if (file.bad()) return fail(errno_error(errno, "read " + path));
  return bytes;
}

Status write_file(const std::string& path, std::span<const uint8_t> bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) return fail(errno_error(errno, "write " + path));
  return {};
}

}  // namespace sluice::cli
