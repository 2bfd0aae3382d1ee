#include "base/file_mappings.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cctype>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace sluice {
namespace {

struct Range {
  uint64_t start = 0;
  uint64_t end = 0;
};

// "start-end perms offset major:minor inode path" (proc(5)).
bool maps_for_writing(const std::string& process, const struct stat& file, Range own) {
  FILE* maps = std::fopen(("/proc/" + process + "/maps").c_str(), "re");
  if (maps == nullptr) return false;
  bool found = false;
  char* line = nullptr;
  size_t room = 0;
  while (!found && ::getline(&line, &room, maps) > 0) {
    Range range;
    char access[5] = {};
    unsigned major = 0;
    unsigned minor = 0;
    uint64_t inode = 0;
    const int fields = std::sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %x:%x %" SCNu64,
                                   &range.start, &range.end, access, &major, &minor, &inode);
    found = fields == 6 && inode == file.st_ino && makedev(major, minor) == file.st_dev &&
            access[1] == 'w' && access[3] == 's' &&
            !(own.start <= range.start && range.end <= own.end);
  }
  std::free(line);
  std::fclose(maps);
  return found;
}

}  // namespace

bool is_mapped_for_writing(int file, const void* own, size_t bytes) {
  struct stat status;
  DIR* processes = ::fstat(file, &status) == 0 ? ::opendir("/proc") : nullptr;
  if (processes == nullptr) return false;
  const auto start = reinterpret_cast<uintptr_t>(own);
  const std::string self = std::to_string(::getpid());
  bool found = false;
  while (const dirent* entry = found ? nullptr : ::readdir(processes)) {
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0])) == 0) continue;
    // Addresses are each process's own.
    found = maps_for_writing(entry->d_name, status,
                             self == entry->d_name ? Range{start, start + bytes} : Range{});
  }
  ::closedir(processes);
  return found;
}

}  // namespace sluice
