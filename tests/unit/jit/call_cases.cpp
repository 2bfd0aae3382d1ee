#include "tests/unit/jit/insn_cases.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

// R1 = map, R2 = address of the key in the frame at -8, R3 = of the value at -24.
Code map_arguments(uint32_t map) {
  Code code = map_fd(1, map);
  code << mov_reg(2, 10) << alu(BPF_ADD, 2, -8) << mov_reg(3, 10) << alu(BPF_ADD, 3, -24);
  return code;
}

Code put(int32_t key, int32_t value, int32_t flags) {
  Code code{store_imm(BPF_DW, 10, -8, key), store_imm(BPF_DW, 10, -24, value),
            store_imm(BPF_DW, 10, -16, 9)};
  code << map_arguments(1) << mov(4, flags) << call(BPF_FUNC_map_update_elem);
  return code;
}

Code look_up(uint32_t map, int32_t key) {
  Code code{store_imm(BPF_DW, 10, -8, key)};
  code << map_arguments(map) << call(BPF_FUNC_map_lookup_elem);
  return code;
}

// Ends the body: R0 = the value's first 8 bytes, or 4444 if there is none.
Code value_or_missing() {
  return {jump(BPF_JNE, 0, 0, 2), mov(0, 4444), go(1), load(BPF_DW, 0, 0, 0)};
}

InsnCase make(const char* name, std::initializer_list<Code> parts, uint64_t answer) {
  Code body;
  for (const auto& part : parts) body << part;
  return {name, body, answer};
}

}  // namespace

std::vector<InsnCase> call_cases() {
  std::vector<InsnCase> cases;
  cases.push_back(
      make("lookup of a key that is not there", {look_up(1, 5), value_or_missing()}, 4444));
  cases.push_back(
      make("update then lookup", {put(5, 55, BPF_ANY), look_up(1, 5), value_or_missing()}, 55));
  cases.push_back(make("update of a key that is not there with EXIST", {put(5, 55, BPF_EXIST)},
                       static_cast<uint64_t>(-2)));
  cases.push_back(make("update of a present key with NOEXIST",
                       {put(5, 55, BPF_ANY), put(5, 56, BPF_NOEXIST)}, static_cast<uint64_t>(-17)));
  cases.push_back(make("delete then lookup",
                       {put(5, 55, BPF_ANY),
                        map_arguments(1),
                        {call(BPF_FUNC_map_delete_elem)},
                        look_up(1, 5),
                        value_or_missing()},
                       4444));
  cases.push_back(make("array lookup out of range", {look_up(0, 1), value_or_missing()}, 4444));
  cases.push_back(make("per-CPU array keeps its value",
                       {look_up(2, 3),
                        {jump(BPF_JEQ, 0, 0, 2), mov(7, 31), store(BPF_DW, 0, 0, 7)},
                        look_up(2, 3),
                        value_or_missing()},
                       31));
  cases.push_back(make(
      "skb_load_bytes copies",
      {{store_imm(BPF_DW, 10, -8, 0), mov_reg(1, 6), mov(2, 12), mov_reg(3, 10),
        alu(BPF_ADD, 3, -8), mov(4, 4), call(BPF_FUNC_skb_load_bytes), load(BPF_DW, 0, 10, -8)}},
      0x80450008));
  cases.push_back(make("skb_load_bytes out of range",
                       {{mov_reg(1, 6), mov(2, 62), mov_reg(3, 10), alu(BPF_ADD, 3, -8), mov(4, 4),
                         call(BPF_FUNC_skb_load_bytes)}},
                       static_cast<uint64_t>(-14)));
  cases.push_back(make("processor id is the slot", {{call(BPF_FUNC_get_smp_processor_id)}}, 0));
  cases.push_back(make("ktime_get_ns is not 0",
                       {{call(BPF_FUNC_ktime_get_ns), jump(BPF_JEQ, 0, 0, 1), mov(0, 1)}}, 1));
  return cases;
}

}  // namespace sluice::bpf
