#include "tests/fuzz/helper_call.hpp"

#include <cstddef>
#include <utility>

#include "bpf/helpers/helper.hpp"
#include "bpf/progs/program_type.hpp"
#include "tests/fuzz/random_code.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

// R6 is the context, R7 and R8 the packet and its end.
class HelperCall : private RandomCode {
 public:
  HelperCall(std::mt19937_64 random, uint32_t type) : RandomCode(random), type_(type) {}

  Code program() {
    code_ << mov_reg(6, 1);
    for (int16_t off = -64; off < 0; off = static_cast<int16_t>(off + 8))
      code_ << store_imm(BPF_DW, 10, off, 0);
    const bool packet = type_ == BPF_PROG_TYPE_SCHED_CLS || type_ == BPF_PROG_TYPE_XDP;
    if (packet) {
      const bool xdp = type_ == BPF_PROG_TYPE_XDP;
      code_ << load(BPF_W, 7, 6,
                    xdp ? int16_t{offsetof(xdp_md, data)} : int16_t{offsetof(__sk_buff, data)});
      code_ << load(
          BPF_W, 8, 6,
          xdp ? int16_t{offsetof(xdp_md, data_end)} : int16_t{offsetof(__sk_buff, data_end)});
      code_ << mov_reg(2, 7) << alu(BPF_ADD, 2, static_cast<int32_t>(one_in(3) ? below(64) : 64))
            << jump_reg(BPF_JLE, 2, 8, 2) << mov(0, 0) << exit();
    }
    const Helper* helper = nullptr;
    uint32_t id = 0;
    for (uint32_t tries = 0;
         helper == nullptr || (tries < 20 && !may_call(*find_program_type(type_), id)); tries++) {
      id = below(kHelperIds);
      helper = find_helper(id);
    }
    for (uint8_t i = 0; i < 5 && helper->arguments[i] != Arg::none; i++) {
      give(static_cast<uint8_t>(i + 1), one_in(12) ? Arg::none : helper->arguments[i], packet);
    }
    code_ << call(static_cast<int32_t>(id));
    if (packet && one_in(3)) code_ << load(BPF_B, 0, 7, 0);
    if (one_in(4)) code_ << load(BPF_B, 1, 0, 0);
    code_ << mov(0, 0) << exit();
    return std::move(code_);
  }

 private:
  void give(uint8_t reg, Arg kind, bool packet) {
    switch (kind) {
      case Arg::ctx:
      case Arg::ctx_or_null: code_ << mov_reg(reg, 6); return;
      case Arg::const_map: code_ << map_fd(reg, below(4)); return;
      case Arg::size:
      case Arg::size_or_zero:
      case Arg::alloc_size:
        code_ << mov(reg, static_cast<int32_t>(one_in(3) ? below(70) : 8));
        return;
      case Arg::anything: code_ << mov(reg, static_cast<int32_t>(below(3))); return;
      default: break;
    }
    switch (below(packet ? 7 : 5)) {
      case 0: code_ << mov(reg, 0); return;
      case 1: code_ << map_value(reg, 0, below(64)); return;
      case 2: code_ << mov_reg(reg, 6); return;
      case 3:
      case 4:
        code_ << mov_reg(reg, 10)
              << alu(BPF_ADD, reg, -static_cast<int32_t>(one_in(3) ? below(66) : 64));
        return;
      default: code_ << mov_reg(reg, one_in(6) ? uint8_t{8} : uint8_t{7});
    }
  }

  uint32_t type_;
};

}  // namespace

Code helper_call_program(std::mt19937_64 random, uint32_t type) {
  return HelperCall(random, type).program();
}

}  // namespace sluice::bpf
