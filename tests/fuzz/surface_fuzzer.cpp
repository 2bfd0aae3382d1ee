// libFuzzer target: a client's calls. Each is (command, attribute bytes); addresses in the
// attribute lead into a small memory that the input fills, descriptors are the numbers of what
// earlier calls opened. No crash, hang or leak, whatever comes.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "bpf/surface/surface.hpp"

using namespace sluice::bpf;

namespace {

constexpr size_t kMemory = 8192;
constexpr size_t kAttr = 168;

// Addresses are taken modulo the memory, so that many lead somewhere; every eighth page has none.
class FuzzedProcess final : public Process {
 public:
  FuzzedProcess(const uint8_t* bytes, size_t size) {
    for (size_t i = 0; i < kMemory && size > 0; i++) memory_[i] = bytes[i % size];
  }
  ~FuzzedProcess() override {
    for (const int fd : files_) ::close(fd);
  }

  int read(uint64_t address, void* to, size_t size) override {
    if (!there(address, size)) return -EFAULT;
    if (size == 0) return 0;
    std::memcpy(to, memory_ + address % kMemory, size);
    return 0;
  }
  int write(uint64_t address, const void* from, size_t size) override {
    if (!there(address, size)) return -EFAULT;
    if (size == 0) return 0;
    std::memcpy(memory_ + address % kMemory, from, size);
    return 0;
  }
  int file(int fd) override {
    const auto index = static_cast<size_t>(fd);
    return index < files_.size() ? files_[index] : -EBADF;
  }
  int open(uint64_t, int) override { return -ENOENT; }
  int open_directory(uint64_t, std::string*) override { return -ENOENT; }
  int create_unnamed(uint64_t) override { return -EACCES; }
  int link_unnamed(int, uint64_t) override { return -EACCES; }

  void opened(long fd) { files_.push_back(static_cast<int>(fd)); }

 private:
  static bool there(uint64_t address, size_t size) {
    return size == 0 || (address / 4096 % 8 != 7 && size <= kMemory - address % kMemory);
  }

  uint8_t memory_[kMemory] = {};
  std::vector<int> files_;
};

// Limits on what one call may cost: the fuzzer looks for crashes, not for large maps and long runs.
void tame(int cmd, union bpf_attr* attr) {
  if (cmd == BPF_MAP_CREATE) {
    attr->map_type %= 34;
    attr->max_entries %= 4096;
    attr->value_size %= 8192;
    attr->key_size %= 600;
  }
  if (cmd == BPF_PROG_LOAD) {
    attr->insn_cnt %= 64;
    attr->log_size %= 4096;
  }
  if (cmd == BPF_PROG_TEST_RUN) attr->test.repeat %= 4;
  if (cmd == BPF_BTF_LOAD) attr->btf_size %= kMemory;
}

// Results that are descriptors.
bool opens(int cmd) {
  constexpr int kOpening[] = {
      BPF_MAP_CREATE,       BPF_PROG_LOAD,        BPF_BTF_LOAD,          BPF_PROG_GET_FD_BY_ID,
      BPF_MAP_GET_FD_BY_ID, BPF_BTF_GET_FD_BY_ID, BPF_LINK_GET_FD_BY_ID, BPF_LINK_CREATE,
      BPF_ENABLE_STATS,     BPF_OBJ_GET};
  return std::find(std::begin(kOpening), std::end(kOpening), cmd) != std::end(kOpening);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  BpfSurface surface;
  FuzzedProcess process(data, size);
  Caller caller;
  caller.process = &process;
  // A call: command, the bytes of the attribute that follow, and they.
  for (int calls = 0; size >= 2 && calls < 32; calls++) {
    const int cmd = data[0] % 40;
    const size_t length = std::min<size_t>(data[1] % (kAttr + 1), size - 2);
    union {
      union bpf_attr attr;
      uint8_t bytes[kAttr];
    } made;
    std::memset(made.bytes, 0, sizeof made.bytes);
    std::memcpy(made.bytes, data + 2, length);
    tame(cmd, &made.attr);
    const long result = surface.bpf(caller, cmd, &made.attr, sizeof made);
    if (result >= 0 && opens(cmd)) process.opened(result);
    data += 2 + length;
    size -= 2 + length;
  }
  return 0;
}
