// Contexts of sched_cls and xdp, packet pointers, ordered loads and stores, on both engines.
#include <gtest/gtest.h>

#include <cstddef>
#include <numeric>

#include "tests/unit/jit/programs.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

std::vector<uint8_t> counting_bytes() {
  std::vector<uint8_t> bytes(64);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  return bytes;
}

void expect_both(const BothResults& results, uint64_t expected) {
  EXPECT_EQ(results.interpreted, expected) << "interpreter";
  EXPECT_EQ(results.compiled, expected) << "jit";
}

// R2 = data, R3 = data_end; 20 bytes or it ends with 1; swaps the two words at 4 and 8 and returns
// the length.
std::shared_ptr<AnnotatedProgram> swap_words(uint32_t type, int32_t data, int32_t data_end) {
  Code code{load(BPF_W, 2, 1, static_cast<int16_t>(data)),
            load(BPF_W, 3, 1, static_cast<int16_t>(data_end))};
  code << mov_reg(4, 2) << alu(BPF_ADD, 4, 20) << mov(0, 1) << jump_reg(BPF_JGT, 4, 3, 6);
  code << load(BPF_W, 4, 2, 4) << load(BPF_W, 5, 2, 8) << store(BPF_W, 2, 4, 5)
       << store(BPF_W, 2, 8, 4);
  code << mov_reg(0, 3) << alu_reg(BPF_SUB, 0, 2) << exit();
  auto program = annotate(code);
  program->type = type;
  note(*program, 0, Region::ctx, data);
  note(*program, 1, Region::ctx, data_end);
  for (uint32_t i = 6; i < 10; i++) note(*program, i, Region::packet);
  return program;
}

void expect_swapped(const std::shared_ptr<AnnotatedProgram>& program) {
  std::vector<std::vector<uint8_t>> packets;
  expect_both(run_both(program, counting_bytes(), &packets), 64);
  std::vector<uint8_t> expected = counting_bytes();
  std::swap_ranges(expected.begin() + 4, expected.begin() + 8, expected.begin() + 8);
  ASSERT_EQ(packets.size(), 2u);
  EXPECT_EQ(packets[0], expected) << "interpreter";
  EXPECT_EQ(packets[1], expected) << "jit";
  expect_both(run_both(program, std::vector<uint8_t>(19)), 1);
}

TEST(PacketPointers, AreWritableInSchedCls) {
  expect_swapped(swap_words(BPF_PROG_TYPE_SCHED_CLS, offsetof(__sk_buff, data),
                            offsetof(__sk_buff, data_end)));
}

TEST(PacketPointers, AreWritableInXdp) {
  expect_swapped(swap_words(BPF_PROG_TYPE_XDP, offsetof(xdp_md, data), offsetof(xdp_md, data_end)));
}

TEST(SchedClsContext, KeepsWhatIsWritten) {
  struct Field {
    size_t offset;
    int size;
    uint64_t expected;
  };
  const Field fields[] = {{offsetof(__sk_buff, mark), BPF_W, 0x12345678},
                          {offsetof(__sk_buff, priority), BPF_W, 0x12345678},
                          {offsetof(__sk_buff, tc_classid), BPF_W, 0x12345678},
                          {offsetof(__sk_buff, tc_index), BPF_W, 0x5678},
                          {offsetof(__sk_buff, queue_mapping), BPF_W, 0x5678},
                          {offsetof(__sk_buff, tstamp), BPF_DW, 0x12345678},
                          {offsetof(__sk_buff, cb) + 8, BPF_DW, 0x12345678}};
  for (const Field& field : fields) {
    SCOPED_TRACE(field.offset);
    const auto offset = static_cast<int16_t>(field.offset);
    auto program = annotate({mov(2, 0x12345678), store(field.size, 1, offset, 2),
                             load(field.size, 0, 1, offset), exit()});
    program->type = BPF_PROG_TYPE_SCHED_CLS;
    note(*program, 1, Region::ctx, offset);
    note(*program, 2, Region::ctx, offset);
    expect_both(run_both(program, counting_bytes()), field.expected);
  }
}

TEST(XdpContext, HasTheInterfaceAndNoQueue) {
  for (const auto& [offset, expected] : {std::pair{offsetof(xdp_md, ingress_ifindex), 1u},
                                         std::pair{offsetof(xdp_md, rx_queue_index), 0u}}) {
    auto program = annotate({load(BPF_W, 0, 1, static_cast<int16_t>(offset)), exit()});
    program->type = BPF_PROG_TYPE_XDP;
    note(*program, 0, Region::ctx, static_cast<int32_t>(offset));
    expect_both(run_both(program, counting_bytes()), expected);
  }
}

// A store-release and a load-acquire of each size, in the frame (by a constant and an unknown
// offset) and in a map value.
TEST(OrderedAccess, StoresAndLoadsEachSize) {
  const std::shared_ptr<Map> map = *Map::create({"map", BPF_MAP_TYPE_ARRAY, 4, 8, 1});
  for (const int size : {BPF_B, BPF_H, BPF_W, BPF_DW}) {
    const uint64_t mask =
        size == BPF_DW ? ~0ull : (1ull << (8 * access_size({code(size), 0, 0, 0, 0}))) - 1;
    for (const bool on_stack : {true, false}) {
      Code insns = imm64(2, 0x1122334455667788);
      if (on_stack) {
        insns << mov_reg(1, 10) << alu(BPF_ADD, 1, -8);
      } else {
        insns << map_value(1, 0);
      }
      insns << atomic(size, kStoreRelease, 1, 0, 2) << atomic(size, kLoadAcquire, 0, 0, 1)
            << exit();
      auto program = annotate(insns);
      program->maps = {map};
      for (const uint32_t at : {4u, 5u})
        note(*program, at, on_stack ? Region::stack : Region::map_value);
      if (on_stack && size != BPF_H) program->facts[4].offset = program->facts[5].offset = -8;
      expect_both(run_both(program, counting_bytes()), 0x1122334455667788 & mask);
    }
  }
}

}  // namespace
}  // namespace sluice::bpf
