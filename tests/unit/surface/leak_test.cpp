// What a client made and closed leaves nothing behind. SLUICE_CYCLES sets how often; 100,000 is the
// promise.
#include <malloc.h>

#include <cstdlib>
#include <filesystem>

#include "tests/unit/surface/client.hpp"

namespace sluice::bpf {
namespace {

size_t cycles() {
  const char* wanted = std::getenv("SLUICE_CYCLES");
  return wanted == nullptr ? 2000 : std::strtoul(wanted, nullptr, 10);
}

size_t memory_in_use() { return ::mallinfo2().uordblks + ::mallinfo2().hblkhd; }

size_t open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(files), end(files)));
}

size_t living(BpfSurface& surface, int cmd) {
  size_t count = 0;
  auto attr = empty_attr();
  while (surface.bpf({}, cmd, &attr, sizeof attr) == 0) {
    attr.start_id = attr.next_id;
    count++;
  }
  return count;
}

// A map in a map, a program that uses one, a program array with the program in it, and BTF.
void make_and_close(BpfSurface& surface) {
  Client client{surface};
  const long inner = client.create(BPF_MAP_TYPE_HASH, 4, 8, 16);
  auto attr = empty_attr();
  attr.map_type = BPF_MAP_TYPE_HASH_OF_MAPS;
  attr.key_size = attr.value_size = 4;
  attr.max_entries = 2;
  attr.inner_map_fd = static_cast<uint32_t>(inner);
  const long outer = client.bpf(BPF_MAP_CREATE, attr);
  const long jumps = client.create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2);
  const long program = client.load(
      {insn(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, static_cast<int>(inner)),
       insn(0), move(BPF_REG_0, 0), leave()});
  ASSERT_GE(std::min({inner, outer, jumps, program}), 0);
  const uint32_t key = 0;
  auto value = static_cast<uint32_t>(inner);
  ASSERT_EQ(client.element(BPF_MAP_UPDATE_ELEM, outer, &key, &value), 0);
  value = static_cast<uint32_t>(program);
  ASSERT_EQ(client.element(BPF_MAP_UPDATE_ELEM, jumps, &key, &value), 0);
  EXPECT_LT(client.load({insn(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_0, BPF_REG_3), leave()}), 0);
  for (const long fd : {inner, outer, jumps, program}) surface.close(static_cast<int>(fd));
}

TEST(Leaks, CyclesOfCreateLoadAndCloseLeaveTablesFilesAndMemoryAsTheyWere) {
  BpfSurface surface;
  for (int i = 0; i < 200; i++) make_and_close(surface);
  const size_t memory = memory_in_use();
  const size_t files = open_files();
  for (size_t i = 0; i < cycles(); i++) {
    make_and_close(surface);
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(living(surface, BPF_MAP_GET_NEXT_ID), 0u);
  EXPECT_EQ(living(surface, BPF_PROG_GET_NEXT_ID), 0u);
  EXPECT_EQ(open_files(), files);
  EXPECT_LT(memory_in_use(), memory + (256u << 10));
}

}  // namespace
}  // namespace sluice::bpf
