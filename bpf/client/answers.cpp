#include "bpf/client/answers.hpp"

#include <algorithm>
#include <cerrno>

namespace sluice::bpf {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kGuessMax = 16u << 20;  // bytes sent without being asked
// bytes sent beyond those asked for, as far as the page reaches
constexpr uint64_t kAround = 256;

#define AT(field) offsetof(union bpf_attr, field)

// Memory that the handler of a command reads: the pointer's place in the attribute, and the bytes:
// a constant, times the 32-bit field at `count` unless that is kOne.
constexpr size_t kOne = SIZE_MAX;
struct MemoryRow {
  int cmd;
  size_t pointer;
  uint64_t size;
  size_t count = kOne;
};
constexpr MemoryRow kMemory[] = {
    {BPF_MAP_LOOKUP_ELEM, AT(key), 64},
    {BPF_MAP_UPDATE_ELEM, AT(key), 64},
    {BPF_MAP_UPDATE_ELEM, AT(value), 256},
    {BPF_MAP_DELETE_ELEM, AT(key), 64},
    {BPF_MAP_GET_NEXT_KEY, AT(key), 64},
    {BPF_MAP_LOOKUP_AND_DELETE_ELEM, AT(key), 64},
    {BPF_PROG_LOAD, AT(insns), sizeof(bpf_insn), AT(insn_cnt)},
    {BPF_PROG_LOAD, AT(license), 128},
    {BPF_PROG_LOAD, AT(func_info), sizeof(bpf_func_info), AT(func_info_cnt)},
    {BPF_PROG_LOAD, AT(line_info), sizeof(bpf_line_info), AT(line_info_cnt)},
    {BPF_PROG_LOAD, AT(fd_array), 256},
    {BPF_PROG_TEST_RUN, AT(test.data_in), 1, AT(test.data_size_in)},
    {BPF_PROG_TEST_RUN, AT(test.ctx_in), 1, AT(test.ctx_size_in)},
    {BPF_OBJ_GET_INFO_BY_FD, AT(info.info), 1, AT(info.info_len)},
    {BPF_BTF_LOAD, AT(btf), 1, AT(btf_size)},
    {BPF_MAP_LOOKUP_BATCH, AT(batch.in_batch), 64},
    {BPF_MAP_LOOKUP_AND_DELETE_BATCH, AT(batch.in_batch), 64},
};

// Descriptors in the attribute; where 0 means none, `optional`.
struct FileRow {
  int cmd;
  size_t place;
  bool optional = false;
};
constexpr FileRow kFiles[] = {
    {BPF_MAP_CREATE, AT(inner_map_fd), true},
    {BPF_MAP_CREATE, AT(btf_fd), true},
    {BPF_MAP_LOOKUP_ELEM, AT(map_fd)},
    {BPF_MAP_UPDATE_ELEM, AT(map_fd)},
    {BPF_MAP_DELETE_ELEM, AT(map_fd)},
    {BPF_MAP_GET_NEXT_KEY, AT(map_fd)},
    {BPF_MAP_LOOKUP_AND_DELETE_ELEM, AT(map_fd)},
    {BPF_MAP_FREEZE, AT(map_fd)},
    {BPF_MAP_LOOKUP_BATCH, AT(batch.map_fd)},
    {BPF_MAP_LOOKUP_AND_DELETE_BATCH, AT(batch.map_fd)},
    {BPF_MAP_UPDATE_BATCH, AT(batch.map_fd)},
    {BPF_MAP_DELETE_BATCH, AT(batch.map_fd)},
    {BPF_PROG_LOAD, AT(prog_btf_fd), true},
    {BPF_PROG_TEST_RUN, AT(test.prog_fd)},
    {BPF_OBJ_PIN, AT(bpf_fd)},
    {BPF_OBJ_GET_INFO_BY_FD, AT(info.bpf_fd)},
    {BPF_PROG_BIND_MAP, AT(prog_bind_map.prog_fd)},
    {BPF_PROG_BIND_MAP, AT(prog_bind_map.map_fd)},
    {BPF_LINK_CREATE, AT(link_create.prog_fd)},
};
#undef AT

template <class Field>
Field field(const union bpf_attr& attr, size_t place) {
  Field value;
  std::memcpy(&value, reinterpret_cast<const char*>(&attr) + place, sizeof value);
  return value;
}

uint64_t to_page_end(uint64_t address) { return kPage - address % kPage; }

}  // namespace

void Answers::guess(int cmd, const union bpf_attr& attr) {
  guess_memory(cmd, attr);
  for (const FileRow& row : kFiles) {
    const auto fd = field<uint32_t>(attr, row.place);
    if (row.cmd == cmd && !(row.optional && fd == 0)) guess_file(fd);
  }
  if (cmd == BPF_PROG_LOAD) guess_map_loads(attr);
}

// All in one step, as far as it goes: what cannot be read is left out, and the rest is one step
// more.
void Answers::guess_memory(int cmd, const union bpf_attr& attr) {
  Item items[Process::kPartsMax];
  Process::Part parts[Process::kPartsMax];
  size_t count = 0;
  for (const MemoryRow& row : kMemory) {
    if (row.cmd != cmd || count == Process::kPartsMax) continue;
    const auto address = field<uint64_t>(attr, row.pointer);
    const uint64_t size = row.count == kOne ? std::min(row.size, to_page_end(address))
                                            : row.size * field<uint32_t>(attr, row.count);
    if (address == 0 || size == 0 || size > kGuessMax) continue;
    Item& item = items[count];
    item = {{{wire::NeedKind::memory, 0, address, size}, 0, static_cast<uint32_t>(size)},
            std::vector<char>(size),
            -1};
    parts[count++] = {address, item.bytes.data(), size};
  }
  for (size_t at = 0; at < count; at++) {
    const size_t end = at + process_.read_parts({parts + at, count - at});
    for (; at < end; at++) answers_.push_back(std::move(items[at]));
  }
}

void Answers::guess_file(uint32_t fd) {
  const wire::Need need{wire::NeedKind::file, static_cast<int32_t>(fd), 0, 0};
  const auto same = [&need](const Item& item) { return item.answer.need == need; };
  if (std::none_of(answers_.begin(), answers_.end(), same)) add(need);
}

// The maps that instructions load, or else each would cost a repetition of the call.
void Answers::guess_map_loads(const union bpf_attr& attr) {
  constexpr size_t kFilesMax = 64;  // Linux: MAX_USED_MAPS
  std::vector<uint32_t> files;
  for (const Item& item : answers_) {
    if (item.answer.need.kind != wire::NeedKind::memory || item.answer.need.address != attr.insns)
      continue;
    for (size_t at = 0; at + sizeof(bpf_insn) <= item.bytes.size() && files.size() < kFilesMax;
         at += sizeof(bpf_insn)) {
      bpf_insn insn;
      std::memcpy(&insn, item.bytes.data() + at, sizeof insn);
      if (insn.code != (BPF_LD | BPF_IMM | BPF_DW)) continue;
      if (insn.src_reg == BPF_PSEUDO_MAP_FD || insn.src_reg == BPF_PSEUDO_MAP_VALUE) {
        files.push_back(static_cast<uint32_t>(insn.imm));
      }
      at += sizeof(bpf_insn);
    }
  }
  for (const uint32_t fd : files) guess_file(fd);
}

int Answers::link(const wire::Need& need) {
  for (const Item& item : answers_) {
    const wire::Need& made = item.answer.need;
    if (made.kind == wire::NeedKind::create_unnamed && made.address == need.size &&
        item.descriptor >= 0) {
      return process_.link_unnamed(item.descriptor, need.address);
    }
  }
  return -EINVAL;
}

int Answers::descriptor_for(const wire::Need& need, std::string* name) {
  switch (need.kind) {
    case wire::NeedKind::file: return process_.file(need.number);
    case wire::NeedKind::open: return process_.open(need.address, need.number);
    case wire::NeedKind::open_directory: return process_.open_directory(need.address, name);
    case wire::NeedKind::create_unnamed: return process_.create_unnamed(need.address);
    case wire::NeedKind::memory:
    case wire::NeedKind::link_unnamed: break;
  }
  return -EINVAL;
}

bool Answers::add(const wire::Need& need) {
  if (answers_.size() >= wire::kAnswersMax) return false;
  Item item{{need, 0, 0}, {}, -1};
  if (need.kind == wire::NeedKind::memory) {
    if (need.size > wire::kFrameMax) return false;
    const uint64_t more = std::min(kAround, to_page_end(need.address + need.size));
    item.bytes.resize(need.size + more);
    item.answer.status = process_.read(need.address, item.bytes.data(), item.bytes.size());
    if (item.answer.status != 0) {
      item.bytes.resize(need.size);
      item.answer.status = process_.read(need.address, item.bytes.data(), item.bytes.size());
    }
    if (item.answer.status != 0) item.bytes.clear();
    item.answer.size = static_cast<uint32_t>(item.bytes.size());
  } else if (need.kind == wire::NeedKind::link_unnamed) {
    item.answer.status = link(need);
  } else {
    std::string name;
    item.descriptor = descriptor_for(need, &name);
    item.answer.status = std::min(item.descriptor, 0);
    if (item.descriptor >= 0) {
      if (descriptors_.size() >= wire::kDescriptorsMax) return false;
      descriptors_.push_back(item.descriptor);
      item.bytes.assign(name.begin(), name.end());
      item.answer.size = static_cast<uint32_t>(name.size());
    }
  }
  answers_.push_back(std::move(item));
  return true;
}

void Answers::put(wire::FrameWriter* frame) const {
  for (const Item& item : answers_) {
    frame->put(item.answer);
    frame->put_bytes(item.bytes.data(), item.bytes.size());
  }
}

}  // namespace sluice::bpf
