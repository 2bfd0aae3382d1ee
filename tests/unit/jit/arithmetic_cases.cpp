#include "tests/unit/jit/insn_cases.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

struct Arithmetic {
  const char* name;
  int op;
  int bits;
  int16_t off;
  uint64_t left;
  uint64_t right;
  uint64_t answer;
};

constexpr uint64_t kMin64 = 0x8000000000000000u;
constexpr uint64_t kMinus1 = ~uint64_t{0};

const Arithmetic kArithmetic[] = {
    {"add wraps", BPF_ADD, 64, 0, kMinus1, 2, 1},
    {"add32 wraps and clears the top", BPF_ADD, 32, 0, 0xfffffffffffffffe, 3, 1},
    {"sub wraps", BPF_SUB, 64, 0, 1, 3, 0xfffffffffffffffe},
    {"sub32 wraps", BPF_SUB, 32, 0, 1, 3, 0xfffffffe},
    {"mul wraps", BPF_MUL, 64, 0, 0x100000001, 0x7fffffff, 0x7fffffff7fffffff},
    {"mul32 clears the top", BPF_MUL, 32, 0, 0x1ffffffff, 3, 0xfffffffd},
    {"mul by a negative", BPF_MUL, 64, 0, 5, static_cast<uint64_t>(-3), static_cast<uint64_t>(-15)},
    {"div is unsigned", BPF_DIV, 64, 0, kMinus1, 2, 0x7fffffffffffffff},
    {"div by a sign-extended immediate", BPF_DIV, 64, 0, kMinus1, kMinus1, 1},
    {"div by 0 is 0", BPF_DIV, 64, 0, 7, 0, 0},
    {"div32 is unsigned", BPF_DIV, 32, 0, 0xfffffffff, 2, 0x7fffffff},
    {"div32 by 0 is 0", BPF_DIV, 32, 0, 7, 0, 0},
    {"mod", BPF_MOD, 64, 0, kMinus1, 10, 5},
    {"mod by 0 is the dividend", BPF_MOD, 64, 0, 0x123456789a, 0, 0x123456789a},
    {"mod32", BPF_MOD, 32, 0, 0x1fffffffe, 10, 4},
    {"mod32 by 0 is the dividend's low half", BPF_MOD, 32, 0, 0x923456789a, 0, 0x3456789a},
    {"sdiv", BPF_DIV, 64, 1, static_cast<uint64_t>(-13), 4, static_cast<uint64_t>(-3)},
    {"sdiv of the least by -1 wraps", BPF_DIV, 64, 1, kMin64, kMinus1, kMin64},
    {"sdiv by 0 is 0", BPF_DIV, 64, 1, static_cast<uint64_t>(-13), 0, 0},
    {"sdiv32", BPF_DIV, 32, 1, 0xfffffff3, static_cast<uint64_t>(-4), 3},
    {"sdiv32 of the least by -1 wraps", BPF_DIV, 32, 1, 0x80000000, kMinus1, 0x80000000},
    {"smod takes the dividend's sign", BPF_MOD, 64, 1, static_cast<uint64_t>(-13), 4, kMinus1},
    {"smod of the least by -1 is 0", BPF_MOD, 64, 1, kMin64, kMinus1, 0},
    {"smod by 0 is the dividend", BPF_MOD, 64, 1, static_cast<uint64_t>(-13), 0,
     static_cast<uint64_t>(-13)},
    {"smod32", BPF_MOD, 32, 1, 0xfffffff3, 4, 0xffffffff},
    {"smod32 of the least by -1 is 0", BPF_MOD, 32, 1, 0x80000000, kMinus1, 0},
    {"or sign-extends its immediate", BPF_OR, 64, 0, 1, static_cast<uint64_t>(-256),
     0xffffffffffffff01},
    {"or32", BPF_OR, 32, 0, 0xf00000001, 2, 3},
    {"and", BPF_AND, 64, 0, 0xff00ff00ff, static_cast<uint64_t>(-256), 0xff00ff0000},
    {"and32", BPF_AND, 32, 0, 0xff00ff00ff, static_cast<uint64_t>(-256), 0xff0000},
    {"xor", BPF_XOR, 64, 0, 0x123456789abcdef0, kMinus1, 0xedcba9876543210f},
    {"xor32", BPF_XOR, 32, 0, 0x123456789abcdef0, kMinus1, 0x6543210f},
    {"lsh", BPF_LSH, 64, 0, 3, 63, kMin64},
    {"lsh32 clears the top", BPF_LSH, 32, 0, 0xffffffffffffffff, 4, 0xfffffff0},
    {"rsh", BPF_RSH, 64, 0, kMin64, 63, 1},
    {"rsh32", BPF_RSH, 32, 0, 0xf80000000, 31, 1},
    {"arsh", BPF_ARSH, 64, 0, kMin64, 63, kMinus1},
    {"arsh32 clears the top", BPF_ARSH, 32, 0, 0x80000000, 4, 0xf8000000},
    {"mov32 clears the top", BPF_MOV, 32, 0, kMinus1, kMinus1, 0xffffffff},
    {"mov sign-extends its immediate", BPF_MOV, 64, 0, 0, static_cast<uint64_t>(-2),
     static_cast<uint64_t>(-2)},
};

const Arithmetic kRegisterOnly[] = {
    {"lsh masks its count", BPF_LSH, 64, 0, 3, 65, 6},
    {"lsh32 masks its count", BPF_LSH, 32, 0, 3, 33, 6},
    {"rsh masks its count", BPF_RSH, 64, 0, 4, 65, 2},
    {"rsh32 masks its count", BPF_RSH, 32, 0, 4, 33, 2},
    {"arsh masks its count", BPF_ARSH, 64, 0, kMinus1, 64, kMinus1},
    {"arsh32 masks its count", BPF_ARSH, 32, 0, 0xf0000000, 36, 0xff000000},
    {"mov of 8 bits sign-extends", BPF_MOV, 64, 8, 0, 0x1280, 0xffffffffffffff80},
    {"mov of 16 bits sign-extends", BPF_MOV, 64, 16, 0, 0x18000, 0xffffffffffff8000},
    {"mov of 32 bits sign-extends", BPF_MOV, 64, 32, 0, 0x180000000, 0xffffffff80000000},
    {"mov32 of 8 bits sign-extends to 32", BPF_MOV, 32, 8, 0, 0x1280, 0xffffff80},
    {"mov32 of 16 bits sign-extends to 32", BPF_MOV, 32, 16, 0, 0x18000, 0xffff8000},
};

InsnCase register_case(const Arithmetic& row) {
  Code body;
  body << imm64(0, row.left) << imm64(7, row.right);
  body << (row.bits == 64 ? alu_reg(row.op, 0, 7, row.off) : alu32_reg(row.op, 0, 7, row.off));
  return {std::string(row.name) + ", register", body, row.answer};
}

InsnCase immediate_case(const Arithmetic& row) {
  Code body;
  body << imm64(0, row.left);
  const auto imm = static_cast<int32_t>(row.right);
  body << (row.bits == 64 ? alu(row.op, 0, imm, row.off) : alu32(row.op, 0, imm, row.off));
  return {std::string(row.name) + ", immediate", body, row.answer};
}

// The same operands behind a store and a load of map memory, so that no engine can fold them.
InsnCase unknown_case(const Arithmetic& row) {
  Code body;
  body << map_value(8, 0, 8) << imm64(0, row.left) << imm64(7, row.right);
  body << store(BPF_DW, 8, 0, 0) << store(BPF_DW, 8, 8, 7) << load(BPF_DW, 0, 8, 0)
       << load(BPF_DW, 7, 8, 8);
  body << (row.bits == 64 ? alu_reg(row.op, 0, 7, row.off) : alu32_reg(row.op, 0, 7, row.off));
  return {std::string(row.name) + ", from memory", body, row.answer};
}

// The verifier refuses a division by a constant zero; only a register may be 0.
bool has_immediate_form(const Arithmetic& row) {
  const bool division = row.op == BPF_DIV || row.op == BPF_MOD;
  return !(division && row.right == 0);
}

InsnCase unary(const char* name, const Insn& insn, uint64_t value, uint64_t answer) {
  Code body;
  body << imm64(0, value) << insn;
  return {name, body, answer};
}

}  // namespace

std::vector<InsnCase> arithmetic_cases() {
  std::vector<InsnCase> cases;
  for (const auto& row : kArithmetic) {
    cases.push_back(register_case(row));
    cases.push_back(unknown_case(row));
    if (has_immediate_form(row)) cases.push_back(immediate_case(row));
  }
  for (const auto& row : kRegisterOnly) {
    cases.push_back(register_case(row));
    cases.push_back(unknown_case(row));
  }
  constexpr uint64_t kBytes = 0x1122334455667788;
  cases.push_back(unary("neg", alu(BPF_NEG, 0, 0), 5, static_cast<uint64_t>(-5)));
  cases.push_back(unary("neg32 clears the top", alu32(BPF_NEG, 0, 0), 0x100000005, 0xfffffffb));
  cases.push_back(unary("be16", endian(BPF_TO_BE, 0, 16), kBytes, 0x8877));
  cases.push_back(unary("be32", endian(BPF_TO_BE, 0, 32), kBytes, 0x88776655));
  cases.push_back(unary("be64", endian(BPF_TO_BE, 0, 64), kBytes, 0x8877665544332211));
  cases.push_back(unary("le16 cuts", endian(BPF_TO_LE, 0, 16), kBytes, 0x7788));
  cases.push_back(unary("le32 cuts", endian(BPF_TO_LE, 0, 32), kBytes, 0x55667788));
  cases.push_back(unary("le64 changes nothing", endian(BPF_TO_LE, 0, 64), kBytes, kBytes));
  cases.push_back(unary("bswap16", swap(0, 16), kBytes, 0x8877));
  cases.push_back(unary("bswap32", swap(0, 32), kBytes, 0x88776655));
  cases.push_back(unary("bswap64", swap(0, 64), kBytes, 0x8877665544332211));
  return cases;
}

}  // namespace sluice::bpf
