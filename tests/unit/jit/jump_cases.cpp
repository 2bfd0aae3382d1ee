#include "tests/unit/jit/insn_cases.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

struct Comparison {
  const char* name;
  int op;
  bool wide;  // JMP, else JMP32
  uint64_t left;
  uint64_t right;
  bool taken;
};

constexpr uint64_t kMinus1 = ~uint64_t{0};
constexpr uint64_t kHigh = 0x100000000;

const Comparison kComparisons[] = {
    {"jeq of equals", BPF_JEQ, true, 5, 5, true},
    {"jeq sees the top half", BPF_JEQ, true, kHigh + 5, 5, false},
    {"jeq32 does not see the top half", BPF_JEQ, false, kHigh + 5, 5, true},
    {"jne", BPF_JNE, true, kHigh + 5, 5, true},
    {"jne32", BPF_JNE, false, kHigh + 5, 5, false},
    {"jgt is unsigned", BPF_JGT, true, kMinus1, 1, true},
    {"jgt of equals", BPF_JGT, true, 1, 1, false},
    {"jgt32 is unsigned", BPF_JGT, false, 0x80000000, 1, true},
    {"jge of equals", BPF_JGE, true, 1, 1, true},
    {"jge32 of equals", BPF_JGE, false, kHigh + 1, 1, true},
    {"jlt is unsigned", BPF_JLT, true, 1, kMinus1, true},
    {"jlt of equals", BPF_JLT, true, 3, 3, false},
    {"jlt32", BPF_JLT, false, kHigh, 1, true},
    {"jle of equals", BPF_JLE, true, 3, 3, true},
    {"jle32", BPF_JLE, false, kHigh + 2, 1, false},
    {"jsgt", BPF_JSGT, true, 1, kMinus1, true},
    {"jsgt32 of a negative", BPF_JSGT, false, 0xffffffff, 1, false},
    {"jsge", BPF_JSGE, true, kMinus1, kMinus1, true},
    {"jsge32", BPF_JSGE, false, 0x80000000, 1, false},
    {"jslt", BPF_JSLT, true, kMinus1, 0, true},
    {"jslt32", BPF_JSLT, false, 0x80000000, 0, true},
    {"jsle", BPF_JSLE, true, kMinus1, kMinus1, true},
    {"jsle32", BPF_JSLE, false, 0x7fffffff, kMinus1, false},
    {"jset", BPF_JSET, true, 6, 4, true},
    {"jset of disjoint bits", BPF_JSET, true, 3, 4, false},
    {"jset sees the sign-extended top", BPF_JSET, true, kHigh, static_cast<uint64_t>(-16), true},
    {"jset32 does not", BPF_JSET, false, kHigh, static_cast<uint64_t>(-16), false},
};

// Operands pass through map memory, so that neither the verifier nor the engine knows them.
InsnCase comparison(const Comparison& row, bool by_register) {
  Code body;
  body << map_value(8, 0, 8) << imm64(7, row.left) << imm64(9, row.right);
  body << store(BPF_DW, 8, 0, 7) << store(BPF_DW, 8, 8, 9) << load(BPF_DW, 7, 8, 0)
       << load(BPF_DW, 9, 8, 8);
  body << mov(0, 1);
  const auto imm = static_cast<int32_t>(row.right);
  if (by_register) {
    body << (row.wide ? jump_reg(row.op, 7, 9, 1) : jump32_reg(row.op, 7, 9, 1));
  } else {
    body << (row.wide ? jump(row.op, 7, imm, 1) : jump32(row.op, 7, imm, 1));
  }
  body << mov(0, 0);
  return {std::string(row.name) + (by_register ? ", register" : ", immediate"), body,
          row.taken ? 1u : 0u};
}

}  // namespace

std::vector<InsnCase> jump_cases() {
  std::vector<InsnCase> cases;
  for (const auto& row : kComparisons) {
    cases.push_back(comparison(row, true));
    cases.push_back(comparison(row, false));
  }
  cases.push_back(
      {"goto forward and back", {mov(0, 3), go(2), alu(BPF_ADD, 0, 1), go(1), go(-3)}, 4});
  cases.push_back({"gotol forward and back",
                   {mov(0, 3), go_long(2), alu(BPF_ADD, 0, 1), go_long(1), go_long(-3)},
                   4});
  cases.push_back(
      {"a loop that ends",
       {mov(0, 0), mov(7, 10), alu_reg(BPF_ADD, 0, 7), alu(BPF_SUB, 7, 1), jump(BPF_JNE, 7, 0, -3)},
       55});
  return cases;
}

}  // namespace sluice::bpf
