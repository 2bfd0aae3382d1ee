#include "bpf/maps/map_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>

namespace sluice::bpf {
namespace {

// Without this a full file system would show as a bus error under a worker.
Status reserve_file(int file, uint64_t bytes) {
  const int error = ::posix_fallocate(file, 0, static_cast<off_t>(bytes));
  if (error != 0 && error != EOPNOTSUPP) return fail(errno_error(error, "reserve"));
  return {};
}

}  // namespace

MapStore::MapStore(std::shared_ptr<StoreDirectory> directory, std::string stem, bool fresh)
    : directory_(std::move(directory)), stem_(std::move(stem)), fresh_(fresh) {}

MapStore::~MapStore() {
  if (keep_ || leaving()) return;
  for (const auto& part : parts_) ::unlinkat(directory_->fd.get(), part.c_str(), 0);
}

bool MapStore::has(const std::string& name) const {
  struct stat status;
  const std::string path = stem_ + "." + name;
  return ::fstatat(directory_->fd.get(), path.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
         status.st_size != 0;
}

Result<MapMemory> MapStore::late_part(const std::string& name, uint64_t bytes) {
  const std::string path = stem_ + "." + name;
  const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_CREAT;
  UniqueFd file(::openat(directory_->fd.get(), path.c_str(), flags, 0600));
  if (!file) return fail(errno_error(errno, "open " + path));
  parts_.push_back(path);
  struct stat status;
  if (::fstat(file.get(), &status) != 0) return fail(errno_error(errno, path));
  if (!S_ISREG(status.st_mode)) return fail(EBADMSG, path + ": not a file");
  auto size = static_cast<uint64_t>(status.st_size);
  if (size == 0) size = MapMemory::rounded(bytes);
  if (size != MapMemory::rounded(size)) return fail(EBADMSG, path + ": no whole pages");
  if (Status good = reserve_file(file.get(), size); !good) {
    if (status.st_size == 0) (void)::ftruncate(file.get(), 0);
    return fail(std::move(good.error()).in(path));
  }
  auto memory = MapMemory::map_file(std::move(file), size, true);
  if (!memory) return fail(std::move(memory.error()).in(path));
  return memory;
}

Result<MapMemory> MapStore::part(const std::string& name, uint64_t bytes, bool reserve) {
  const std::string path = stem_ + "." + name;
  const uint64_t size = MapMemory::rounded(bytes);
  const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (fresh_ ? O_CREAT | O_EXCL : 0);
  UniqueFd file(::openat(directory_->fd.get(), path.c_str(), flags, 0600));
  if (!file) return fail(errno_error(errno, "open " + path));
  parts_.push_back(path);
  if (fresh_) {
    if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0)
      return fail(errno_error(errno, "size " + path));
    Status good = reserve ? reserve_file(file.get(), size) : Status();
    if (!good) return fail(std::move(good.error()).in(path));
  }
  struct stat status;
  if (::fstat(file.get(), &status) != 0) return fail(errno_error(errno, path));
  if (!S_ISREG(status.st_mode) || static_cast<uint64_t>(status.st_size) != size) {
    return fail(EBADMSG, path + ": " + std::to_string(status.st_size) + " bytes, not " +
                             std::to_string(size));
  }
  auto memory = MapMemory::map_file(std::move(file), size, reserve);
  if (!memory) return fail(std::move(memory.error()).in(path));
  return memory;
}

}  // namespace sluice::bpf
