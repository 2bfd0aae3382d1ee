#include <cstddef>
#include <tuple>

#include "tests/unit/jit/insn_cases.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

constexpr uint64_t kBytes = 0x8899aabbccddeeff;

// One atomic on 8 bytes that hold `before`: the answer is the memory after it, or the register that
// fetched.
InsnCase atomic_case(const char* name, bool on_stack, int size, int32_t op, uint64_t before,
                     uint64_t operand, uint64_t expected, uint8_t answer_from, uint64_t answer) {
  Code body;
  if (on_stack) {
    body << mov_reg(8, 10) << alu(BPF_ADD, 8, -8);
  } else {
    body << map_value(8, 0, 8);
  }
  body << imm64(7, before) << store(BPF_DW, 8, 0, 7) << imm64(7, operand) << imm64(0, expected);
  body << atomic(size, op, 8, 0, 7);
  if (answer_from == 8) {
    body << load(BPF_DW, 0, 8, 0);
  } else if (answer_from != 0) {
    body << mov_reg(0, answer_from);
  }
  return {std::string(name) + (on_stack ? ", stack" : ", map value"), body, answer};
}

void add_atomics(std::vector<InsnCase>& cases, bool on_stack) {
  const auto add = [&](const char* name, int size, int32_t op, uint64_t before, uint64_t operand,
                       uint64_t expected, uint8_t from, uint64_t answer) {
    cases.push_back(atomic_case(name, on_stack, size, op, before, operand, expected, from, answer));
  };
  constexpr uint64_t kOld = 0x1111111180000001;
  add("atomic add", BPF_DW, BPF_ADD, kOld, 0x80000000, 0, 8, 0x1111111200000001);
  add("atomic add of 32 bits keeps the neighbour", BPF_W, BPF_ADD, kOld, 0x80000000, 0, 8,
      0x1111111100000001);
  add("atomic or", BPF_DW, BPF_OR, kOld, 6, 0, 8, kOld | 6);
  add("atomic and", BPF_DW, BPF_AND, kOld, 0xff, 0, 8, 1);
  add("atomic and of 32 bits", BPF_W, BPF_AND, kOld, 0xff, 0, 8, 0x1111111100000001);
  add("atomic xor", BPF_DW, BPF_XOR, kOld, kOld, 0, 8, 0);
  add("atomic fetch add stores", BPF_DW, BPF_ADD | BPF_FETCH, kOld, 1, 0, 8, kOld + 1);
  add("atomic fetch add fetches", BPF_DW, BPF_ADD | BPF_FETCH, kOld, 1, 0, 7, kOld);
  add("atomic fetch add of 32 bits zero-extends", BPF_W, BPF_ADD | BPF_FETCH, kOld, 1, 0, 7,
      0x80000001);
  add("atomic fetch or", BPF_DW, BPF_OR | BPF_FETCH, kOld, 1, 0, 7, kOld);
  add("atomic fetch and", BPF_W, BPF_AND | BPF_FETCH, kOld, 0, 0, 7, 0x80000001);
  add("atomic fetch xor", BPF_DW, BPF_XOR | BPF_FETCH, kOld, 3, 0, 8, kOld ^ 3);
  add("xchg stores", BPF_DW, BPF_XCHG, kOld, 77, 0, 8, 77);
  add("xchg fetches", BPF_DW, BPF_XCHG, kOld, 77, 0, 7, kOld);
  add("xchg of 32 bits zero-extends", BPF_W, BPF_XCHG, kOld, 77, 0, 7, 0x80000001);
  add("cmpxchg of equals stores", BPF_DW, BPF_CMPXCHG, kOld, 77, kOld, 8, 77);
  add("cmpxchg of equals puts the old value in R0", BPF_DW, BPF_CMPXCHG, kOld, 77, kOld, 0, kOld);
  add("cmpxchg of others leaves memory", BPF_DW, BPF_CMPXCHG, kOld, 77, 5, 8, kOld);
  add("cmpxchg of others puts the old value in R0", BPF_DW, BPF_CMPXCHG, kOld, 77, 5, 0, kOld);
  add("cmpxchg of 32 bits compares the low half", BPF_W, BPF_CMPXCHG, kOld, 77, 0xf80000001, 8,
      0x111111110000004d);
  add("cmpxchg of 32 bits zero-extends R0", BPF_W, BPF_CMPXCHG, kOld, 77, 0xf80000001, 0,
      0x80000001);
}

void add_loads(std::vector<InsnCase>& cases, bool on_stack) {
  const auto add = [&](const char* name, const Insn& access, uint64_t answer) {
    Code body;
    if (on_stack) {
      body << mov_reg(8, 10) << alu(BPF_ADD, 8, -16);
    } else {
      body << map_value(8, 0, 8);
    }
    body << imm64(7, kBytes) << store(BPF_DW, 8, 0, 7) << store_imm(BPF_DW, 8, 8, -1) << access;
    if (BPF_CLASS(access.code) != BPF_LDX) body << load(BPF_DW, 0, 8, 0);
    cases.push_back({std::string(name) + (on_stack ? ", stack" : ", map value"), body, answer});
  };
  add("load of 1", load(BPF_B, 0, 8, 0), 0xff);
  add("load of 2", load(BPF_H, 0, 8, 2), 0xccdd);
  add("load of 4", load(BPF_W, 0, 8, 4), 0x8899aabb);
  add("load of 8", load(BPF_DW, 0, 8, 0), kBytes);
  add("signed load of 1", load_signed(BPF_B, 0, 8, 0), 0xffffffffffffffff);
  add("signed load of 2", load_signed(BPF_H, 0, 8, 6), 0xffffffffffff8899);
  add("signed load of 4", load_signed(BPF_W, 0, 8, 4), 0xffffffff8899aabb);
  add("store of 1", store(BPF_B, 8, 3, 7), 0x8899aabbffddeeff);
  add("store of an immediate byte", store_imm(BPF_B, 8, 1, 0x112), 0x8899aabbccdd12ff);
  add("store of an immediate half", store_imm(BPF_H, 8, 4, 0x34512), 0x88994512ccddeeff);
  add("store of an immediate word", store_imm(BPF_W, 8, 4, -2), 0xfffffffeccddeeff);
  add("store of an immediate double word sign-extends", store_imm(BPF_DW, 8, 0, -2),
      0xfffffffffffffffe);
}

InsnCase context_case(const char* name, size_t offset, int size, uint64_t answer) {
  return {name, {load(size, 0, 6, static_cast<int16_t>(offset))}, answer};
}

}  // namespace

std::vector<InsnCase> memory_cases() {
  std::vector<InsnCase> cases;
  for (const bool on_stack : {false, true}) {
    add_loads(cases, on_stack);
    add_atomics(cases, on_stack);
  }
  for (const auto& [name, size, answer] :
       {std::tuple{"1", BPF_B, kBytes & 0xff}, std::tuple{"2", BPF_H, kBytes & 0xffff},
        std::tuple{"4", BPF_W, kBytes & 0xffffffff}, std::tuple{"8", BPF_DW, kBytes}}) {
    for (const bool on_stack : {true, false}) {
      Code body = imm64(7, kBytes);
      if (on_stack) {
        body << mov_reg(8, 10) << alu(BPF_ADD, 8, -8);
      } else {
        body << map_value(8, 0, 8);
      }
      body << store_imm(BPF_DW, 8, 0, 0) << atomic(size, kStoreRelease, 8, 0, 7)
           << atomic(size, kLoadAcquire, 0, 0, 8);
      cases.push_back({std::string("store release and load acquire of ") + name +
                           (on_stack ? ", stack" : ", map value"),
                       body, answer});
    }
  }
  cases.push_back({"imm64 keeps all bits", imm64(0, kBytes), kBytes});
  cases.push_back(context_case("ctx len is the wire length", offsetof(__sk_buff, len), BPF_W, 100));
  cases.push_back(context_case("ctx protocol is in network order", offsetof(__sk_buff, protocol),
                               BPF_W, 0x0008));
  cases.push_back(
      context_case("ctx pkt_type of a group address", offsetof(__sk_buff, pkt_type), BPF_W, 2));
  cases.push_back(context_case("ctx ifindex", offsetof(__sk_buff, ifindex), BPF_W, 1));
  cases.push_back(context_case("ctx mark starts at 0", offsetof(__sk_buff, mark), BPF_W, 0));
  cases.push_back(context_case("ctx hash", offsetof(__sk_buff, hash), BPF_W, 0xabcdef01));
  cases.push_back({"ctx cb keeps what is stored",
                   {mov(7, 0x12345678), store(BPF_W, 6, offsetof(__sk_buff, cb[2]), 7),
                    load(BPF_W, 0, 6, offsetof(__sk_buff, cb[2]))},
                   0x12345678});
  cases.push_back({"packet load of 1", {load_abs(BPF_B, 14)}, 0x45});
  cases.push_back({"packet load of 2 is in host order", {load_abs(BPF_H, 12)}, 0x0800});
  cases.push_back({"packet load of 4 is in host order", {load_abs(BPF_W, 20)}, 0xd0e0f001});
  cases.push_back({"packet load at the last byte", {load_abs(BPF_B, 63)}, 0});
  cases.push_back({"packet load past the end", {load_abs(BPF_B, 64)}, 0, true});
  cases.push_back({"packet load across the end", {load_abs(BPF_W, 61)}, 0, true});
  cases.push_back({"packet load behind the link header", {load_abs(BPF_B, -0x100000)}, 0x45});
  cases.push_back({"packet load from the link header", {load_abs(BPF_H, -0x200000 + 12)}, 0x0800});
  cases.push_back({"indirect packet load", {mov(7, 10), load_ind(BPF_H, 7, 2)}, 0x0800});
  cases.push_back(
      {"indirect packet load wraps at 32 bits", {mov(7, -2), load_ind(BPF_B, 7, 16)}, 0x45});
  cases.push_back(
      {"indirect packet load past the end", {mov(7, 1 << 20), load_ind(BPF_B, 7, 16)}, 0, true});
  return cases;
}

}  // namespace sluice::bpf
