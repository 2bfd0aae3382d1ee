#include "bpf/isa/opcode.hpp"

#include <gtest/gtest.h>

#include "bpf/isa/disasm.hpp"

namespace sluice::bpf {
namespace {

struct Case {
  Insn insn;
  const char* text;   // of the disassembler
  const char* fault;  // null: well-formed
};

std::ostream& operator<<(std::ostream& out, const Case& row) { return out << row.text; }

const Case kCases[] = {
    {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 7}, "(b7) r0 = 7", nullptr},
    {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 1, 0, 7}, "(b7) r0 = 7", "BPF_MOV uses reserved fields"},
    {{BPF_ALU | BPF_MOV | BPF_X, 1, 2, 0, 0}, "(bc) w1 = w2", nullptr},
    {{BPF_ALU64 | BPF_MOV | BPF_X, 1, 2, 32, 0}, "(bf) r1 = (s32)r2", nullptr},
    {{BPF_ALU | BPF_MOV | BPF_X, 1, 2, 32, 0}, "(bc) w1 = (s32)w2", "BPF_MOV uses reserved fields"},
    {{BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -8}, "(07) r1 += -8", nullptr},
    {{BPF_ALU64 | BPF_ADD | BPF_X, 1, 2, 0, 3}, "(0f) r1 += r2", "BPF_ALU uses reserved fields"},
    {{BPF_ALU64 | BPF_DIV | BPF_K, 1, 0, 0, 0}, "(37) r1 /= 0", "div by zero"},
    {{BPF_ALU | BPF_DIV | BPF_X, 1, 2, 1, 0}, "(3c) w1 s/= w2", nullptr},
    {{BPF_ALU | BPF_LSH | BPF_K, 1, 0, 0, 32}, "(64) w1 <<= 32", "invalid shift 32"},
    {{BPF_ALU64 | BPF_LSH | BPF_K, 1, 0, 0, 32}, "(67) r1 <<= 32", nullptr},
    {{BPF_ALU | BPF_END | BPF_X, 3, 0, 0, 16}, "(dc) r3 = be16 r3", nullptr},
    {{BPF_ALU | BPF_END | BPF_K, 3, 0, 0, 24}, "(d4) r3 = le24 r3", "BPF_END uses reserved fields"},
    {{BPF_ALU64 | BPF_END | BPF_K, 3, 0, 0, 64}, "(d7) r3 = bswap64 r3", nullptr},
    {{BPF_LDX | BPF_MEM | BPF_W, 1, 2, 8, 0}, "(61) r1 = *(u32 *)(r2 +8)", nullptr},
    {{BPF_LDX | BPF_MEM | BPF_W, 1, 2, 8, 1},
     "(61) r1 = *(u32 *)(r2 +8)",
     "BPF_LDX uses reserved fields"},
    {{BPF_STX | BPF_MEM | BPF_DW, 10, 1, -8, 0}, "(7b) *(u64 *)(r10 -8) = r1", nullptr},
    {{BPF_ST | BPF_MEM | BPF_B, 10, 0, -1, 5}, "(72) *(u8 *)(r10 -1) = 5", nullptr},
    {{BPF_STX | BPF_ATOMIC | BPF_DW, 1, 2, 0, BPF_ADD}, "(db) lock *(u64 *)(r1 +0) += r2", nullptr},
    {{BPF_STX | BPF_ATOMIC | BPF_W, 1, 2, 4, BPF_XOR | BPF_FETCH},
     "(c3) r2 = atomic_fetch_xor((u32 *)(r1 +4), r2)",
     nullptr},
    {{BPF_STX | BPF_ATOMIC | BPF_H, 1, 2, 0, BPF_ADD},
     "(cb) lock *(u16 *)(r1 +0) += r2",
     "invalid atomic operand size"},
    {{BPF_STX | BPF_ATOMIC | BPF_W, 1, 2, 0, 7},
     "BUG_c3",
     "BPF_ATOMIC uses invalid atomic opcode 07"},
    {{BPF_LD | BPF_ABS | BPF_H, 0, 0, 0, 12}, "(28) r0 = *(u16 *)skb[12]", nullptr},
    {{BPF_LD | BPF_ABS | BPF_H, 0, 1, 0, 12},
     "(28) r0 = *(u16 *)skb[12]",
     "BPF_LD_[ABS|IND] uses reserved fields"},
    {{BPF_LD | BPF_IND | BPF_B, 0, 7, 0, 3}, "(50) r0 = *(u8 *)skb[r7 + 3]", nullptr},
    {{BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 4, 6}, "(15) if r1 == 0x6 goto pc+4", nullptr},
    {{BPF_JMP32 | BPF_JSLT | BPF_X, 1, 2, -3, 0}, "(ce) if w1 s< w2 goto pc-3", nullptr},
    {{BPF_JMP | BPF_JA, 0, 0, 2, 0}, "(05) goto pc+2", nullptr},
    {{BPF_JMP32 | BPF_JA, 0, 0, 0, 70000}, "(06) gotol pc+70000", nullptr},
    {{BPF_JMP | BPF_JA, 1, 0, 2, 0}, "(05) goto pc+2", "BPF_JA uses reserved fields"},
    {{BPF_JMP | BPF_CALL, 0, 0, 0, 1}, "(85) call bpf_map_lookup_elem#1", nullptr},
    {{BPF_JMP | BPF_CALL, 0, 1, 0, 5}, "(85) call pc+5", nullptr},
    {{BPF_JMP | BPF_EXIT, 0, 0, 0, 0}, "(95) exit", nullptr},
    {{BPF_JMP | BPF_EXIT, 0, 0, 0, 1}, "(95) exit", "BPF_EXIT uses reserved fields"},
    {{BPF_ALU64 | BPF_MOV | BPF_K, 11, 0, 0, 0}, "(b7) r11 = 0", "R11 is invalid"},
};

class Opcode : public testing::TestWithParam<Case> {};

TEST_P(Opcode, IsJudgedAndPrintedAsTheKernelDoes) {
  const Case& row = GetParam();
  EXPECT_EQ(disassemble(&row.insn), row.text);
  const auto fault = insn_fault({&row.insn, 1}, 0);
  if (row.fault == nullptr) {
    EXPECT_FALSE(fault) << *fault;
  } else {
    ASSERT_TRUE(fault);
    EXPECT_EQ(*fault, row.fault);
  }
}
INSTANTIATE_TEST_SUITE_P(Table, Opcode, testing::ValuesIn(kCases));

TEST(Opcode, A64BitImmediateLoadNeedsAnEmptySecondSlot) {
  Insn pair[2] = {{BPF_LD | BPF_IMM | BPF_DW, 1, 0, 0, 5}, {0, 0, 0, 0, 6}};
  EXPECT_FALSE(insn_fault(pair, 0));
  EXPECT_EQ(disassemble(pair), "(18) r1 = 0x600000005");
  EXPECT_TRUE(insn_fault({pair, 1}, 0));
  pair[1].dst_reg = 1;
  EXPECT_EQ(insn_fault(pair, 0), "invalid bpf_ld_imm64 insn");
}

}  // namespace
}  // namespace sluice::bpf
