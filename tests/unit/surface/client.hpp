// A client of the surface for tests: bpf(2) calls with the fewest words.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "bpf/surface/surface.hpp"

namespace sluice::bpf {

inline union bpf_attr empty_attr() {
  union bpf_attr attr;
  std::memset(&attr, 0, sizeof attr);
  return attr;
}

inline uint64_t address(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

struct Client {
  BpfSurface& surface;
  Caller caller{};

  long bpf(int cmd, union bpf_attr attr) { return surface.bpf(caller, cmd, &attr, sizeof attr); }

  long create(uint32_t type, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags = 0) {
    auto attr = empty_attr();
    attr.map_type = type;
    attr.key_size = key;
    attr.value_size = value;
    attr.max_entries = entries;
    attr.map_flags = flags;
    return bpf(BPF_MAP_CREATE, attr);
  }
  long element(int cmd, long fd, const void* key, const void* value, uint64_t flags = 0) {
    auto attr = empty_attr();
    attr.map_fd = static_cast<uint32_t>(fd);
    attr.key = address(key);
    attr.value = address(value);
    attr.flags = flags;
    return bpf(cmd, attr);
  }
  // R0 of a run on 64 zero bytes.
  uint32_t test_run(long fd) {
    const uint8_t frame[64] = {};
    auto attr = empty_attr();
    attr.test.prog_fd = static_cast<uint32_t>(fd);
    attr.test.data_in = address(frame);
    attr.test.data_size_in = sizeof frame;
    EXPECT_EQ(surface.bpf(caller, BPF_PROG_TEST_RUN, &attr, sizeof attr), 0);
    return attr.test.retval;
  }
  static union bpf_attr program(const std::vector<Insn>& insns, const char* licence = "GPL") {
    auto attr = empty_attr();
    attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attr.insns = address(insns.data());
    attr.insn_cnt = static_cast<uint32_t>(insns.size());
    attr.license = address(licence);
    return attr;
  }
  long load(const std::vector<Insn>& insns, const char* licence = "GPL") {
    return bpf(BPF_PROG_LOAD, program(insns, licence));
  }
};

inline Insn insn(int code, int dst = 0, int src = 0, int off = 0, int imm = 0) {
  return {static_cast<uint8_t>(code), static_cast<uint8_t>(dst), static_cast<uint8_t>(src),
          static_cast<int16_t>(off), imm};
}
inline Insn move(int dst, int imm) { return insn(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm); }
inline Insn call(int helper) { return insn(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
inline Insn leave() { return insn(BPF_JMP | BPF_EXIT); }
// Accepts `verdict` bytes.
inline std::vector<Insn> constant_program(int verdict) {
  return {move(BPF_REG_0, verdict), leave()};
}
// Calls trace_printk("h"), a gpl_only helper.
inline std::vector<Insn> tracing_program() {
  return {insn(BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, -8, 'h'),
          insn(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_10),
          insn(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_1, 0, 0, -8),
          move(BPF_REG_2, 2),
          call(BPF_FUNC_trace_printk),
          move(BPF_REG_0, 0),
          leave()};
}

}  // namespace sluice::bpf
