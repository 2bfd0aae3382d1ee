// Maps that clients map into their memory: who may, for what, and what MAP_FREEZE says to it.
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "tests/smoke/transcripts/transcript.hpp"

namespace transcript {
namespace {

constexpr size_t kPage = 4096;
constexpr int kWrite = PROT_READ | PROT_WRITE;

struct Mapping {
  uint8_t* at = nullptr;
  ~Mapping() { end(); }
  void end() {
    if (at != nullptr) ::munmap(at, kPage);
    at = nullptr;
  }
};

// One page; "what = mapped" or the errno's name.
void map(Transcript& t, const std::string& what, long fd, int access, Mapping* mapping,
         int kind = MAP_SHARED, off_t offset = 0) {
  void* at = ::mmap(nullptr, kPage, access, kind, static_cast<int>(fd), offset);
  if (at == MAP_FAILED) return t.line(what + " = " + result_text(BPF_MAP_LOOKUP_ELEM, -errno));
  t.line(what + " = mapped");
  mapping->end();
  mapping->at = static_cast<uint8_t*>(at);
}

void try_map(Transcript& t, const std::string& what, long fd, int access, int kind = MAP_SHARED,
             off_t offset = 0) {
  Mapping mapping;
  map(t, what, fd, access, &mapping, kind, offset);
}

void freeze(Transcript& t, const std::string& what, long fd) {
  Attr attr;
  attr->map_fd = static_cast<uint32_t>(fd);
  t.say(what, BPF_MAP_FREEZE, attr);
}

void by_access(Transcript& t) {
  t.line("-- access");
  const long array = t.create({BPF_MAP_TYPE_ARRAY, 4, 4, 4, BPF_F_MMAPABLE});
  Mapping mapping;
  map(t, "map", array, kWrite, &mapping);
  t.update("update", array, 1, 77);
  if (mapping.at != nullptr) {
    t.number("what an update wrote", mapping.at[8]);
    mapping.at[0] = 5;
  }
  t.lookup("what the mapping wrote", array, 0);
  try_map(t, "map to read", array, PROT_READ);
  const long reader = t.create({BPF_MAP_TYPE_ARRAY, 4, 4, 4, BPF_F_MMAPABLE | BPF_F_RDONLY});
  try_map(t, "read-only descriptor, map to read", reader, PROT_READ);
  try_map(t, "read-only descriptor, map to write", reader, kWrite);
  const long writer = t.create({BPF_MAP_TYPE_ARRAY, 4, 4, 4, BPF_F_MMAPABLE | BPF_F_WRONLY});
  try_map(t, "write-only descriptor, map to read", writer, PROT_READ);
  try_map(t, "write-only descriptor, map to write", writer, PROT_WRITE);
  t.line(::ftruncate(static_cast<int>(array), 0) != 0 ? "its size is kept"
                                                      : "its size was changed");
  t.lookup("an element", array, 1);
}

void frozen(Transcript& t) {
  t.line("-- freeze");
  const long array = t.create({BPF_MAP_TYPE_ARRAY, 4, 4, 4, BPF_F_MMAPABLE});
  Mapping writes;
  Mapping reads;
  map(t, "map to write", array, kWrite, &writes);
  map(t, "map to read", array, PROT_READ, &reads);
  freeze(t, "freeze while it is mapped for writing", array);
  t.update("update", array, 1, 77);
  writes.end();
  freeze(t, "freeze while it is mapped for reading", array);
  t.update("update", array, 1, 78);
  t.lookup("lookup", array, 1);
  try_map(t, "map to write", array, kWrite);
  try_map(t, "map to read", array, PROT_READ);
  const long duplicate = ::dup(static_cast<int>(array));
  try_map(t, "duplicate, map to write", duplicate, kWrite);
  ::close(static_cast<int>(duplicate));
}

void constants(Transcript& t) {
  t.line("-- programs' constants");
  const long array = t.create({BPF_MAP_TYPE_ARRAY, 4, 4, 4, BPF_F_MMAPABLE | BPF_F_RDONLY_PROG});
  try_map(t, "map to write", array, kWrite);
  Mapping reads;
  map(t, "map to read", array, PROT_READ, &reads);
  t.update("update", array, 1, 77);
  t.lookup("lookup", array, 1);
  freeze(t, "freeze", array);
  t.update("update", array, 1, 78);
  try_map(t, "map to write", array, kWrite);
  try_map(t, "map to read", array, PROT_READ);
  const long writer =
      t.create({BPF_MAP_TYPE_ARRAY, 4, 4, 4, BPF_F_MMAPABLE | BPF_F_RDONLY_PROG | BPF_F_WRONLY});
  t.update("write-only descriptor, update", writer, 1, 77);
  t.lookup("write-only descriptor, lookup", writer, 1);
  // Whether the verifier follows the constant: the other branch is no program.
  for (const uint32_t value : {0u, 1u}) {
    const long map = t.create({BPF_MAP_TYPE_ARRAY, 4, 4, 1, BPF_F_MMAPABLE | BPF_F_RDONLY_PROG});
    t.update("update", map, 0, value);
    const auto program =
        load_map(1, BPF_PSEUDO_MAP_VALUE, static_cast<int>(map)) +
        std::vector<bpf_insn>{insn(BPF_LDX | BPF_MEM | BPF_W, 0, 1, 0, 0),
                              insn(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0),
                              insn(BPF_LDX | BPF_MEM | BPF_DW, 0, 0, 0, 0), move(0, 0), leave()};
    Attr attr = Transcript::program(BPF_PROG_TYPE_SOCKET_FILTER, program);
    t.say("load before the freeze", BPF_PROG_LOAD, attr);
    freeze(t, "freeze", map);
    attr = Transcript::program(BPF_PROG_TYPE_SOCKET_FILTER, program);
    t.say("load, the constant is " + std::to_string(value), BPF_PROG_LOAD, attr);
  }
}

void rings(Transcript& t) {
  t.line("-- ring buffer");
  const long ring = t.create({BPF_MAP_TYPE_RINGBUF, 0, 0, kPage});
  Mapping consumer;
  map(t, "map the consumer's page to write", ring, kWrite, &consumer);
  try_map(t, "map the producer's page to write", ring, kWrite, MAP_SHARED, kPage);
  try_map(t, "map the producer's page to read", ring, PROT_READ, MAP_SHARED, kPage);
  try_map(t, "map the data to write", ring, kWrite, MAP_SHARED, 2 * kPage);
  freeze(t, "freeze while it is mapped for writing", ring);
  consumer.end();
  freeze(t, "freeze", ring);
  try_map(t, "map the consumer's page to write", ring, kWrite);
  try_map(t, "map the consumer's page to read", ring, PROT_READ);
}

void others(Transcript& t) {
  t.line("-- maps that nobody maps");
  try_map(t, "array, map to write", t.create({BPF_MAP_TYPE_ARRAY, 4, 4, 4}), kWrite);
  try_map(t, "hash, map to write", t.create({BPF_MAP_TYPE_HASH, 4, 4, 4}), kWrite);
}

}  // namespace

void map_memory(Transcript& t) {
  by_access(t);
  frozen(t);
  constants(t);
  rings(t);
  others(t);
}

}  // namespace transcript
