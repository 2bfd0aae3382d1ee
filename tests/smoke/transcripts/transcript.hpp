// What a client of bpf(2) sees, written down line by line: the same calls to the kernel and to
// sluice must give the same text. A section is a function; its calls go through `Transcript`, which
// knows nothing of who answers them.
#pragma once

#include <linux/bpf.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace transcript {

// As the system call: a descriptor, 0 or a negative errno.
using BpfCall = long (*)(int cmd, void* attr, unsigned size);

struct Attr {
  union {
    union bpf_attr attr;
    uint8_t bytes[168];
  };
  Attr() { std::memset(bytes, 0, sizeof bytes); }
  union bpf_attr* operator->() { return &attr; }
};

struct Shape {
  uint32_t type;
  uint32_t key_size;
  uint32_t value_size;
  uint32_t max_entries;
  uint32_t flags = 0;
};

inline uint64_t address(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

class Transcript {
 public:
  explicit Transcript(BpfCall bpf) : bpf_(bpf) {}
  ~Transcript();

  // The call alone; descriptors it makes are closed at the section's end.
  long call(int cmd, Attr& attr, unsigned size = sizeof(Attr));
  // The call, with a line "what = result": 0, fd, or the errno's name. Returns its result.
  long say(const std::string& what, int cmd, Attr& attr, unsigned size = sizeof(Attr));
  void line(const std::string& text);
  void bytes(const std::string& what, const void* from, size_t size);
  void number(const std::string& what, uint64_t value);

  long create(const Shape& shape);
  long say_create(const std::string& what, const Shape& shape);
  long element(const std::string& what, int cmd, long fd, const void* key, void* value,
               uint64_t flags = 0);
  // key and value of 4 bytes.
  long update(const std::string& what, long fd, uint32_t key, uint32_t value, uint64_t flags = 0);
  long lookup(const std::string& what, long fd, uint32_t key);
  long erase(const std::string& what, long fd, uint32_t key);
  // Every key by GET_NEXT_KEY, sorted, in one line.
  void keys(const std::string& what, long fd);
  void close(long fd);

  static Attr program(uint32_t type, const std::vector<bpf_insn>& insns,
                      const char* licence = "GPL");
  long load(uint32_t type, const std::vector<bpf_insn>& insns);

 private:
  void remember(int cmd, long result);
  BpfCall bpf_;
  std::vector<int> open_;
};

std::string result_text(int cmd, long result);

// Instructions, with the fewest words.
inline bpf_insn insn(int code, int dst = 0, int src = 0, int off = 0, int imm = 0) {
  bpf_insn made{};
  made.code = static_cast<uint8_t>(code);
  made.dst_reg = static_cast<uint8_t>(dst & 15);
  made.src_reg = static_cast<uint8_t>(src & 15);
  made.off = static_cast<int16_t>(off);
  made.imm = imm;
  return made;
}
inline bpf_insn move(int dst, int imm) { return insn(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm); }
inline bpf_insn leave() { return insn(BPF_JMP | BPF_EXIT); }
inline std::vector<bpf_insn> load_map(int dst, int source, int imm, int next = 0) {
  return {insn(BPF_LD | BPF_IMM | BPF_DW, dst, source, 0, imm), insn(0, 0, 0, 0, next)};
}
inline std::vector<bpf_insn> operator+(std::vector<bpf_insn> left,
                                       const std::vector<bpf_insn>& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// A section: its name and what it does. sections.cpp has the table.
struct Section {
  const char* name;
  void (*run)(Transcript&);
};

void map_create_rules(Transcript& t);
void map_elements(Transcript& t);
void map_references(Transcript& t);
void map_batches(Transcript& t);
void map_freezing(Transcript& t);
void map_memory(Transcript& t);
void attribute_rules(Transcript& t);
void ids_and_info(Transcript& t);
void program_loading(Transcript& t);
void program_info(Transcript& t);
void test_runs(Transcript& t);
void btf_loading(Transcript& t);

}  // namespace transcript
