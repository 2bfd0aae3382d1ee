// The files behind the descriptors that bpf(2) hands out, and how the last close of one is seen. A
// descriptor may be duplicated, inherited, passed on over sockets and lost by kill -9; what stands
// for it here must notice exactly when the last copy is gone, and not before.
//
// - A token is an unlinked FIFO of which the client has the reading end and the table the writing
//   end: EPOLLERR there says that no reader is left. Its name is what tools look for in
//   /proc/PID/fd ("bpf-map", "bpf-prog", ...).
// - A map that clients may mmap hands out its own memory file. Only a mapping of that file keeps it
//   open after a close, so the kernel is asked: a write lease is granted when nobody else has the
//   file open. inotify says when to ask. Nobody can resize it: a memfd is sealed, and a file of the
//   store is opened without the right to.
//
// Control threads; the table locks.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "base/unique_fd.hpp"

namespace sluice::bpf {

// A file, however many descriptors and names it has.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId&) const = default;
};

struct FileIdHash {
  size_t operator()(const FileId& id) const {
    return std::hash<uint64_t>{}(id.inode * 0x9e3779b97f4a7c15u ^ id.device);
  }
};

[[nodiscard]] inline FileId file_id(const struct stat& status) {
  return {status.st_dev, status.st_ino};
}

struct Token {
  UniqueFd given;  // the client's
  UniqueFd kept;   // reports EPOLLERR once every copy of `given` is closed
  FileId id;
};

// `text` becomes part of what /proc/PID/fd shows. 0 or a negative errno.
int make_token(const std::string& text, Token* token);

// What a descriptor of a memory file may be used for. The open file's flags say it, which nobody
// can change afterwards.
struct MemoryAccess {
  bool readable = true;  // by bpf(2)
  bool writable = true;  // by bpf(2)
  bool mappable_for_writing = true;
};

// A new open file of `file` (a memory file of ours), close-on-exec; or -errno. Not for what is
// writable by bpf(2) alone.
int open_memory_file(int file, MemoryAccess access);
[[nodiscard]] MemoryAccess memory_access(int fd);
// Whether no new mapping of the memfd can be writable; false for other files.
[[nodiscard]] bool is_sealed_for_writing(int file);

// True where `file` is the only open file of its inode, mappings counted. `file` must have been
// opened by open(2) (not by memfd_create, whose first description the kernel does not count).
[[nodiscard]] bool only_opener(int file);

}  // namespace sluice::bpf
