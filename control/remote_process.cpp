#include "control/remote_process.hpp"

#include <cerrno>

namespace sluice::control {

using bpf::wire::Need;
using bpf::wire::NeedKind;

bool RemoteProcess::take(bpf::wire::FrameReader& frame, uint32_t count,
                         std::vector<UniqueFd> descriptors) {
  if (count > bpf::wire::kAnswersMax) return false;
  size_t next = 0;
  for (uint32_t i = 0; i < count; i++) {
    Item item;
    if (!frame.get(&item.answer) || !frame.get_bytes(item.answer.size, &item.bytes)) return false;
    const Need& need = item.answer.need;
    const bool memory = need.kind == NeedKind::memory;
    if (item.answer.status > 0 || need.kind < NeedKind::memory ||
        need.kind > NeedKind::link_unnamed)
      return false;
    if (!memory && need.kind != NeedKind::open_directory && item.answer.size != 0) return false;
    if (memory && (need.address + item.answer.size < need.address ||
                   need.address + need.size < need.address)) {
      return false;
    }
    if (!memory && need.kind != NeedKind::link_unnamed && item.answer.status == 0) {
      if (next == descriptors.size()) return false;
      item.descriptor = std::move(descriptors[next++]);
    }
    items_.push_back(std::move(item));
  }
  return next == descriptors.size();
}

std::vector<UniqueFd> RemoteProcess::give_back() {
  std::vector<UniqueFd> descriptors;
  for (Item& item : items_) {
    if (item.descriptor) descriptors.push_back(std::move(item.descriptor));
  }
  return descriptors;
}

int RemoteProcess::note(const Need& need, int error) {
  needs_.push_back(need);
  return error;
}

int RemoteProcess::read(uint64_t address, void* to, size_t size) {
  if (size == 0) return 0;
  if (address + size < address) return -EFAULT;
  for (const Item& item : items_) {
    if (item.answer.need.kind != NeedKind::memory || address < item.answer.need.address) continue;
    const uint64_t offset = address - item.answer.need.address;
    const bool failed = item.answer.status != 0;
    const uint64_t length = failed ? item.answer.need.size : item.bytes.size();
    if (offset > length || size > length - offset) continue;
    if (failed) return -EFAULT;
    std::memcpy(to, item.bytes.data() + offset, size);
    return 0;
  }
  if (size > bpf::wire::kFrameMax / 2) return -EFAULT;  // no frame could carry it
  return note({NeedKind::memory, 0, address, size}, -EFAULT);
}

int RemoteProcess::write(uint64_t address, const void* from, size_t size) {
  if (size == 0) return 0;
  if (size > bpf::wire::kFrameMax / 2 - written_bytes_) return -EFAULT;  // no frame could carry it
  written_bytes_ += size;
  const auto* bytes = static_cast<const char*>(from);
  if (!writes_.empty() && writes_.back().address + writes_.back().bytes.size() == address) {
    writes_.back().bytes.insert(writes_.back().bytes.end(), bytes, bytes + size);
    return 0;
  }
  // The header of each write travels too.
  written_bytes_ += sizeof(bpf::wire::Write) + 8;
  if (written_bytes_ > bpf::wire::kFrameMax / 2) return -EFAULT;
  writes_.push_back({address, {bytes, bytes + size}});
  return 0;
}

int RemoteProcess::descriptor_of(const Need& need) {
  for (const Item& item : items_) {
    if (item.answer.need == need)
      return item.answer.status != 0 ? item.answer.status : item.descriptor.get();
  }
  return note(need, -EBADF);
}

int RemoteProcess::file(int fd) { return descriptor_of({NeedKind::file, fd, 0, 0}); }
int RemoteProcess::open(uint64_t path, int flags) {
  return descriptor_of({NeedKind::open, flags, path, 0});
}
int RemoteProcess::open_directory(uint64_t path, std::string* name) {
  const Need need{NeedKind::open_directory, 0, path, 0};
  const int fd = descriptor_of(need);
  for (const Item& item : items_) {
    if (item.answer.need == need) name->assign(item.bytes.begin(), item.bytes.end());
  }
  return fd;
}

int RemoteProcess::create_unnamed(uint64_t path) {
  return descriptor_of({NeedKind::create_unnamed, 0, path, 0});
}

int RemoteProcess::link_unnamed(int file, uint64_t path) {
  for (const Item& made : items_) {
    if (made.answer.need.kind != NeedKind::create_unnamed || made.descriptor.get() != file)
      continue;
    const Need need{NeedKind::link_unnamed, 0, path, made.answer.need.address};
    for (const Item& item : items_) {
      if (item.answer.need == need) return item.answer.status;
    }
    return note(need, -EBADF);
  }
  return -EBADF;
}

}  // namespace sluice::control
