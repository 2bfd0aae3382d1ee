#include "tests/smoke/transcripts/transcript.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace transcript {

std::string result_text(int cmd, long result) {
  if (result >= 0) {
    constexpr int kMakeDescriptors[] = {
        BPF_MAP_CREATE,       BPF_PROG_LOAD,        BPF_BTF_LOAD,          BPF_PROG_GET_FD_BY_ID,
        BPF_MAP_GET_FD_BY_ID, BPF_BTF_GET_FD_BY_ID, BPF_LINK_GET_FD_BY_ID, BPF_LINK_CREATE,
        BPF_OBJ_GET,          BPF_ENABLE_STATS};
    const bool fd = std::find(std::begin(kMakeDescriptors), std::end(kMakeDescriptors), cmd) !=
                    std::end(kMakeDescriptors);
    return fd ? "fd" : std::to_string(result);
  }
  if (result == -524) return "ENOTSUPP";  // the kernel's own, without a name outside it
  const char* name = strerrorname_np(static_cast<int>(-result));
  return name != nullptr ? name : std::to_string(result);
}

Transcript::~Transcript() {
  for (const int fd : open_) ::close(fd);
}

void Transcript::remember(int cmd, long result) {
  if (result_text(cmd, result) == "fd") open_.push_back(static_cast<int>(result));
}

long Transcript::call(int cmd, Attr& attr, unsigned size) {
  const long result = bpf_(cmd, attr.bytes, size);
  remember(cmd, result);
  return result;
}

long Transcript::say(const std::string& what, int cmd, Attr& attr, unsigned size) {
  const long result = call(cmd, attr, size);
  line(what + " = " + result_text(cmd, result));
  return result;
}

void Transcript::line(const std::string& text) { std::printf("%s\n", text.c_str()); }

void Transcript::number(const std::string& what, uint64_t value) {
  line(what + ": " + std::to_string(value));
}

void Transcript::bytes(const std::string& what, const void* from, size_t size) {
  std::string text = what + ":";
  for (size_t i = 0; i < size; i++) {
    char hex[4];
    std::snprintf(hex, sizeof hex, " %02x", static_cast<const uint8_t*>(from)[i]);
    text += hex;
  }
  line(text);
}

long Transcript::create(const Shape& shape) {
  Attr attr;
  attr->map_type = shape.type;
  attr->key_size = shape.key_size;
  attr->value_size = shape.value_size;
  attr->max_entries = shape.max_entries;
  attr->map_flags = shape.flags;
  return call(BPF_MAP_CREATE, attr);
}

long Transcript::say_create(const std::string& what, const Shape& shape) {
  const long fd = create(shape);
  line(what + " = " + result_text(BPF_MAP_CREATE, fd));
  return fd;
}

long Transcript::element(const std::string& what, int cmd, long fd, const void* key, void* value,
                         uint64_t flags) {
  Attr attr;
  attr->map_fd = static_cast<uint32_t>(fd);
  attr->key = address(key);
  attr->value = address(value);
  attr->flags = flags;
  return say(what, cmd, attr);
}

long Transcript::update(const std::string& what, long fd, uint32_t key, uint32_t value,
                        uint64_t flags) {
  return element(what, BPF_MAP_UPDATE_ELEM, fd, &key, &value, flags);
}

long Transcript::lookup(const std::string& what, long fd, uint32_t key) {
  uint32_t value = 0;
  const long result = element(what, BPF_MAP_LOOKUP_ELEM, fd, &key, &value);
  if (result == 0) number("  value", value);
  return result;
}

long Transcript::erase(const std::string& what, long fd, uint32_t key) {
  return element(what, BPF_MAP_DELETE_ELEM, fd, &key, nullptr);
}

void Transcript::keys(const std::string& what, long fd) {
  std::vector<uint32_t> found;
  uint32_t key = 0;
  uint32_t next = 0;
  Attr attr;
  attr->map_fd = static_cast<uint32_t>(fd);
  attr->next_key = address(&next);
  long result = 0;
  while ((result = call(BPF_MAP_GET_NEXT_KEY, attr)) == 0 && found.size() < 1000) {
    found.push_back(key = next);
    attr->key = address(&key);
  }
  std::sort(found.begin(), found.end());
  std::string text = what + ":";
  for (const uint32_t one : found) text += " " + std::to_string(one);
  line(text + " then " + result_text(BPF_MAP_GET_NEXT_KEY, result));
}

void Transcript::close(long fd) {
  std::erase(open_, static_cast<int>(fd));
  ::close(static_cast<int>(fd));
}

Attr Transcript::program(uint32_t type, const std::vector<bpf_insn>& insns, const char* licence) {
  Attr attr;
  attr->prog_type = type;
  attr->insns = address(insns.data());
  attr->insn_cnt = static_cast<uint32_t>(insns.size());
  attr->license = address(licence);
  return attr;
}

long Transcript::load(uint32_t type, const std::vector<bpf_insn>& insns) {
  Attr attr = program(type, insns);
  return call(BPF_PROG_LOAD, attr);
}

}  // namespace transcript
