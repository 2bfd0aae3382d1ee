// Pins for tests: calls by path, and a surface over a pin directory of its own that can end and
// start again.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <functional>

#include "tests/unit/surface/client.hpp"

namespace sluice::bpf {

using BpfCall = std::function<long(int cmd, union bpf_attr attr)>;

inline long pin(const BpfCall& bpf, long fd, const std::string& path, uint32_t flags = 0) {
  auto attr = empty_attr();
  attr.pathname = address(path.c_str());
  attr.bpf_fd = static_cast<uint32_t>(fd);
  attr.file_flags = flags;
  return bpf(BPF_OBJ_PIN, attr);
}

inline long get(const BpfCall& bpf, const std::string& path, uint32_t flags = 0, uint32_t fd = 0) {
  auto attr = empty_attr();
  attr.pathname = address(path.c_str());
  attr.bpf_fd = fd;
  attr.file_flags = flags;
  return bpf(BPF_OBJ_GET, attr);
}

inline long create(const BpfCall& bpf, uint32_t type = BPF_MAP_TYPE_HASH, uint32_t flags = 0,
                   uint32_t value_size = 8) {
  auto attr = empty_attr();
  attr.map_type = type;
  attr.key_size = 4;
  attr.value_size = value_size;
  attr.max_entries = 16;
  attr.map_flags = flags;
  std::strcpy(attr.map_name, "flows");
  return bpf(BPF_MAP_CREATE, attr);
}

inline long element(const BpfCall& bpf, int cmd, long fd, uint32_t key, uint64_t* value) {
  auto attr = empty_attr();
  attr.map_fd = static_cast<uint32_t>(fd);
  attr.key = address(&key);
  attr.value = address(value);
  return bpf(cmd, attr);
}

inline std::string make_folder() {
  char path[] = "/dev/shm/sluice-pin-test.XXXXXX";
  return ::mkdtemp(path);
}

class Pins : public testing::Test {
 protected:
  Pins() : root(make_folder()) { start(); }
  ~Pins() override {
    surface.reset();
    std::filesystem::remove_all(root);
  }
  void start() {
    surface = std::make_unique<BpfSurface>();
    const auto opened = surface->open_pins(root);
    ASSERT_TRUE(opened) << opened.error().text;
  }
  void restart() {
    surface.reset();
    start();
  }
  long load(const std::vector<Insn>& insns) { return bpf(BPF_PROG_LOAD, Client::program(insns)); }
  void close(long fd) { surface->close(static_cast<int>(fd)); }
  bool living(int next_id_command) {
    return bpf(next_id_command, empty_attr()) == 0;
  }
  [[nodiscard]] size_t stored() const {
    size_t count = 0;
    for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(root + "/.store"))
      count++;
    return count;
  }

  std::string root;
  std::unique_ptr<BpfSurface> surface;
  BpfCall bpf = [this](int cmd, union bpf_attr attr) {
    return surface->bpf({::geteuid(), ::getegid()}, cmd, &attr, sizeof attr);
  };
};

// Looks up key 0 of the array behind `map` and accepts.
inline std::vector<Insn> counting_program(long map) {
  return {insn(BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, 0),
          insn(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10),
          insn(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4),
          insn(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, static_cast<int>(map)),
          insn(0),
          call(BPF_FUNC_map_lookup_elem),
          insn(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 2, 0),
          move(BPF_REG_1, 1),
          insn(BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_0, BPF_REG_1, 0, BPF_ADD),
          move(BPF_REG_0, 7),
          leave()};
}

}  // namespace sluice::bpf
