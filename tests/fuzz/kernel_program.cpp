#include "tests/fuzz/kernel_program.hpp"

#include <cstddef>
#include <random>
#include <utility>

#include "tests/fuzz/helper_call.hpp"
#include "tests/fuzz/random_numbers.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

// R6 is the context, R7 to R9 are numbers, R0 and R2 to R5 scratch; the stack from -64 up holds
// numbers, below it pointers.
class Generator : private RandomNumbers {
 public:
  explicit Generator(uint64_t seed) : RandomNumbers(std::mt19937_64(seed)) {}

  KernelProgram program() {
    static const uint32_t kTypes[] = {BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_SCHED_CLS,
                                      BPF_PROG_TYPE_XDP,           BPF_PROG_TYPE_SOCKET_FILTER,
                                      BPF_PROG_TYPE_SCHED_CLS,     BPF_PROG_TYPE_XDP,
                                      BPF_PROG_TYPE_KPROBE,        BPF_PROG_TYPE_TRACEPOINT};
    KernelProgram out;
    out.type = type_ = kTypes[below(8)];
    if (one_in(8)) {
      out.kind = "helper call";
      code_ = helper_call_program(random_, type_);
    } else {
      out.kind = one_in(2) ? "mixed" : "offsets";
      out.runs = type_ != BPF_PROG_TYPE_KPROBE && type_ != BPF_PROG_TYPE_TRACEPOINT;
      prologue();
      const bool mixed = out.kind[0] == 'm';
      for (uint32_t i = 0, count = 1 + below(mixed ? 8 : 4); i < count; i++) {
        if (mixed) statement(2);
        else offset_statement();
      }
      ending();
    }
    out.insns = std::move(code_);
    return out;
  }

  // Arithmetic and comparisons alone, on numbers of which much, little or nothing is known.
  KernelProgram numbers() {
    type_ = BPF_PROG_TYPE_SCHED_CLS;
    code_ << mov_reg(6, 1);
    for (uint8_t reg = 7; reg <= 9; reg++) {
      if (one_in(3)) code_ << imm64(reg, random_() >> below(64));
      else unknown(reg);
    }
    for (uint32_t i = 0, count = 2 + below(14); i < count; i++) {
      const uint8_t reg = number_reg();
      switch (below(4)) {
        case 0: out(condition(reg)); break;
        case 1: narrow(reg); break;
        default: arithmetic(reg);
      }
    }
    close(0);
    code_ << mov_reg(0, 7) << alu_reg(BPF_ADD, 0, 8) << alu_reg(BPF_ADD, 0, 9) << exit();
    return {type_, "numbers", true, std::move(code_)};
  }

 private:
  bool has_packet() const { return type_ == BPF_PROG_TYPE_SCHED_CLS || type_ == BPF_PROG_TYPE_XDP; }

  void prologue() {
    code_ << mov_reg(6, 1);
    for (uint8_t reg = 7; reg <= 9; reg++) code_ << mov(reg, number());
    // What was never written holds 0 here and anything in the kernel.
    for (int16_t off = -496; off < 0; off = static_cast<int16_t>(off + 8)) {
      code_ << store_imm(BPF_DW, 10, off, one_in(2) ? 0 : number());
    }
  }

  void ending() {
    for (int16_t off = -64; off < 0; off = static_cast<int16_t>(off + 8)) {
      code_ << load(BPF_DW, 1, 10, off) << alu(BPF_MUL, 7, 31) << alu_reg(BPF_ADD, 7, 1);
    }
    code_ << mov_reg(0, 7) << alu_reg(BPF_XOR, 0, 8) << alu(BPF_MUL, 0, 31)
          << alu_reg(BPF_XOR, 0, 9);
    code_ << map_value(1, 0) << store(BPF_DW, 1, 0, 0) << exit();
    finish_calls();
  }

  void finish_calls() {
    if (calls_.empty()) return;
    std::vector<size_t> starts;
    const uint32_t count = 1 + below(2);
    for (uint32_t i = 0; i < count; i++) {
      starts.push_back(code_.size());
      subprogram();
    }
    for (size_t i = 0; i < calls_.size(); i++) {
      const size_t target = i < starts.size() ? starts[i] : starts[below(count)];
      code_[calls_[i]].imm = static_cast<int32_t>(target) - static_cast<int32_t>(calls_[i]) - 1;
    }
    // One that nobody calls would not be a subprogram: make a last call of each certain.
    for (size_t i = calls_.size(); i < starts.size(); i++) code_.resize(starts[i]);
  }

  void subprogram() {
    switch (below(4)) {
      case 0:
        code_ << mov_reg(0, 1) << alu_reg(BPF_XOR, 0, 2) << alu(BPF_AND, 0, number()) << exit();
        return;
      case 1: {  // an index, checked
        code_ << mov_reg(0, 1) << jump(pick(kCompare), 0, small(), 1) << mov(0, 0) << exit();
        return;
      }
      case 2:  // R3 points at memory
        code_ << load(size(), 0, 3, static_cast<int16_t>(small()))
              << store(size(), 3, static_cast<int16_t>(small()), 0) << exit();
        return;
      default:
        code_ << store(BPF_DW, 10, -8, 1) << alu(BPF_AND, 2, 7) << mov_reg(0, 10)
              << alu_reg(BPF_ADD, 0, 2) << load(BPF_B, 0, 0, -8) << exit();
    }
  }

  void access(uint8_t base, int16_t off) {
    const int width = size();
    switch (below(4)) {
      case 0: code_ << store(width, base, off, number_reg()); return;
      case 1: code_ << store_imm(width, base, off, number()); return;
      default: code_ << load(width, number_reg(), base, off);
    }
  }

  // A number, narrowed somehow, becomes part of an address.
  void offset_statement() {
    const size_t first = exits_.size();
    const uint8_t reg = number_reg();
    unknown(reg);
    narrow(reg);
    if (one_in(3)) {
      const uint8_t other = static_cast<uint8_t>(reg == 9 ? 7 : reg + 1);
      code_ << (one_in(3) ? alu32_reg(BPF_MOV, other, reg) : mov_reg(other, reg));
      if (one_in(2)) code_ << alu(BPF_ADD, other, small());
      narrow(other);
    }
    use(reg);
    close(first);
  }

  void use(uint8_t reg) {
    switch (below(5)) {
      case 0:
        code_ << map_value(2, 0, one_in(2) ? 0 : below(64))
              << alu_reg(one_in(6) ? BPF_SUB : BPF_ADD, 2, reg);
        return access(2, static_cast<int16_t>(one_in(2) ? 0 : small()));
      case 1:
        code_ << mov_reg(2, 10) << alu(BPF_ADD, 2, -static_cast<int32_t>(below(9) * 8))
              << alu_reg(BPF_ADD, 2, reg);
        return access(2, static_cast<int16_t>(-8 * static_cast<int>(below(9))));
      case 2:
        if (has_packet()) return packet(reg);
        [[fallthrough]];
      case 3:
        if (is_skb()) {
          code_ << mov_reg(1, 6) << mov(2, static_cast<int32_t>(below(40))) << mov_reg(3, 10)
                << alu(BPF_ADD, 3, -static_cast<int32_t>(8 * (1 + below(8)))) << mov_reg(4, reg)
                << call(BPF_FUNC_skb_load_bytes);
          return;
        }
        [[fallthrough]];
      default:  // the key of a lookup
        code_ << store(BPF_W, 10, -64, reg) << mov_reg(2, 10) << alu(BPF_ADD, 2, -64)
              << map_fd(1, 1) << call(BPF_FUNC_map_lookup_elem);
        if (!one_in(6)) out(jump(BPF_JEQ, 0, 0, 0));
        access(0, static_cast<int16_t>(small()));
    }
  }

  // reg: a number to add to the packet pointer; 0: none.
  void packet(uint8_t reg) {
    const bool xdp = type_ == BPF_PROG_TYPE_XDP;
    const int16_t data = xdp ? int16_t{offsetof(xdp_md, data)} : int16_t{offsetof(__sk_buff, data)};
    const int16_t end =
        xdp ? int16_t{offsetof(xdp_md, data_end)} : int16_t{offsetof(__sk_buff, data_end)};
    const auto length = static_cast<int32_t>(1 + below(40));
    code_ << load(BPF_W, 2, 6, data) << load(BPF_W, 3, 6, end);
    if (reg != 0) code_ << alu_reg(BPF_ADD, 2, reg);
    code_ << mov_reg(4, 2) << alu(BPF_ADD, 4, length);
    if (one_in(6)) {
      code_ << mov_reg(5, 4) << alu(BPF_ADD, 5, small());
      out(jump_reg(pick({BPF_JGT, BPF_JGE}), 5, 3, 0));
    }
    const bool straight = one_in(2);
    const int op = one_in(8)  ? pick(kCompare)
                   : straight ? pick({BPF_JGT, BPF_JGE})
                              : pick({BPF_JLT, BPF_JLE});
    if (!one_in(12)) out(straight ? jump_reg(op, 4, 3, 0) : jump_reg(op, 3, 4, 0));
    for (uint32_t i = 0; i < 1 + below(2); i++) {
      const auto within = static_cast<int32_t>(below(static_cast<uint32_t>(length) + 1));
      const auto off = static_cast<int16_t>(within - (one_in(8) ? 1 : 0));
      access(one_in(5) ? 4 : 2, one_in(5) ? static_cast<int16_t>(off - length) : off);
    }
    if (one_in(10)) {
      code_ << mov_reg(1, 6) << mov(2, 0)
            << call(xdp ? BPF_FUNC_xdp_adjust_head : BPF_FUNC_skb_pull_data);
      if (one_in(3)) code_ << load(BPF_B, 7, 4, -1);
    }
  }

  void statement(int depth) {
    const size_t first = exits_.size();
    switch (below(13)) {
      case 0: code_ << store(size(), 10, frame(), number_reg()); break;
      case 1: code_ << load(size(), number_reg(), 10, frame()); break;
      case 2: if (has_packet()) packet(0); else unknown(number_reg()); break;
      case 3: lookup(); break;
      case 4: spill(); break;
      case 5:
        code_ << atomic(pick({BPF_W, BPF_DW}), atomic_operation(), 10, frame(), number_reg());
        break;
      case 6: branch(depth); break;
      case 7: if (depth == 2) loop(); break;
      case 8: call_statement(); break;
      case 9: ring(); break;
      case 10: offset_statement(); break;
      default:
        for (uint32_t i = 0; i < 1 + below(4); i++) arithmetic(number_reg());
    }
    close(first);
  }

  int16_t frame() {
    return static_cast<int16_t>(-64 + static_cast<int>(one_in(12) ? below(64) : below(8) * 8));
  }
  int atomic_operation() {
    return pick({int{BPF_ADD}, int{BPF_OR}, BPF_AND, BPF_XOR, BPF_ADD | BPF_FETCH,
                 BPF_XOR | BPF_FETCH, int{BPF_XCHG}});
  }

  void lookup() {
    const uint32_t map = 1 + below(2);
    code_ << store_imm(BPF_W, 10, pick({int16_t{-64}, int16_t{-60}}),
                       static_cast<int32_t>(below(6)));
    code_ << mov_reg(2, 10) << alu(BPF_ADD, 2, pick({-64, -60, -64, -60, -62})) << map_fd(1, map);
    code_ << call(BPF_FUNC_map_lookup_elem);
    const bool kept = one_in(3);
    if (kept) code_ << store(BPF_DW, 10, -72, 0);
    if (!one_in(5)) out(jump(one_in(12) ? BPF_JNE : BPF_JEQ, 0, 0, 0));
    const uint8_t base = kept ? 4 : 0;
    if (kept) code_ << load(BPF_DW, 4, 10, -72);
    const auto room = static_cast<int32_t>(map == 1 ? 64 : 16);
    const auto off = static_cast<int16_t>(below(static_cast<uint32_t>(room)) & ~7u);
    if (one_in(4)) {
      code_ << atomic(pick({BPF_W, BPF_DW}), atomic_operation(), base, off, number_reg());
    } else {
      access(base, one_in(8) ? static_cast<int16_t>(room - static_cast<int32_t>(below(8))) : off);
    }
    if (one_in(3)) {
      code_ << store_imm(BPF_W, 10, -64, static_cast<int32_t>(below(4))) << mov_reg(2, 10)
            << alu(BPF_ADD, 2, -64) << mov_reg(3, 10) << alu(BPF_ADD, 3, -16) << mov(4, 0)
            << map_fd(1, 2) << call(BPF_FUNC_map_update_elem);
    }
  }

  void spill() {
    code_ << map_value(2, 0, 8 * below(8))
          << store(BPF_DW, 10, -72, one_in(4) ? number_reg() : uint8_t{2});
    if (one_in(6))
      code_ << store_imm(pick({BPF_B, BPF_W}), 10, pick({int16_t{-72}, int16_t{-68}}), 0);
    code_ << load(one_in(8) ? BPF_W : BPF_DW, 3, 10, -72);
    access(3, static_cast<int16_t>(8 * static_cast<int>(below(8)) - (one_in(4) ? 8 : 0)));
    const uint8_t reg = number_reg();
    if (!one_in(2)) return;
    // A spilled number learns what its register learns.
    unknown(reg);
    code_ << store(one_in(2) ? BPF_DW : BPF_W, 10, -80, reg);
    narrow(reg);
    code_ << load(one_in(2) ? BPF_DW : BPF_W, number_reg(), 10, -80);
    use(number_reg());
  }

  void branch(int depth) {
    if (depth == 0) return arithmetic(number_reg());
    const size_t at = code_.size();
    code_ << condition(number_reg());
    for (uint32_t i = 0; i < 1 + below(2); i++) statement(depth - 1);
    size_t end = code_.size();
    if (one_in(2)) {
      code_ << go(0);
      code_[at].off = static_cast<int16_t>(code_.size() - at - 1);
      statement(depth - 1);
      code_[end].off = static_cast<int16_t>(code_.size() - end - 1);
    } else {
      code_[at].off = static_cast<int16_t>(end - at - 1);
    }
  }

  void loop() {
    const uint8_t index = number_reg();
    code_ << mov(index, static_cast<int32_t>(below(4)));
    const size_t start = code_.size();
    const size_t first = exits_.size();
    const uint8_t other = static_cast<uint8_t>(index == 9 ? 7 : index + 1);
    if (one_in(2)) {
      code_ << map_value(2, 0) << alu_reg(BPF_ADD, 2, index) << load(BPF_B, other, 2, 0);
    } else {
      arithmetic(other);
    }
    if (one_in(3)) out(condition(other));
    close(first);
    code_ << alu(BPF_ADD, index, static_cast<int32_t>(one_in(20) ? 0 : 1 + below(3)));
    const auto back =
        static_cast<int16_t>(static_cast<int>(start) - static_cast<int>(code_.size()) - 1);
    const auto limit = static_cast<int32_t>(one_in(12) ? below(300) : below(20));
    code_ << (one_in(2) ? jump(pick({BPF_JLT, BPF_JLE, BPF_JSLT}), index, limit, back)
                        : jump32(pick({BPF_JLT, BPF_JLE, BPF_JSLT}), index, limit, back));
  }

  void call_statement() {
    if (one_in(3)) {
      code_ << call(BPF_FUNC_ktime_get_ns) << mov(0, 0);
      return;
    }
    const uint8_t given = number_reg();
    code_ << mov_reg(1, given) << mov_reg(2, number_reg());
    if (one_in(2)) {
      code_ << mov_reg(3, 10) << alu(BPF_ADD, 3, -static_cast<int32_t>(8 * below(9)));
    } else {
      code_ << map_value(3, 0, 8 * below(8));
    }
    calls_.push_back(code_.size());
    code_ << call_local(0) << mov_reg(number_reg(), 0);
    if (!one_in(2)) return;
    code_ << map_value(2, 0) << alu_reg(BPF_ADD, 2, number_reg())
          << load(BPF_B, number_reg(), 2, 0);
  }

  void ring() {
    if (!one_in(3)) return arithmetic(number_reg());
    const auto length = static_cast<int32_t>(8 * (1 + below(4)));
    code_ << map_fd(1, 3) << mov(2, length) << mov(3, 0) << call(BPF_FUNC_ringbuf_reserve);
    if (!one_in(8)) out(jump(BPF_JEQ, 0, 0, 0));
    // Stores only: what a record holds before differs.
    const auto within = static_cast<int32_t>(below(static_cast<uint32_t>(length)));
    const auto off = static_cast<int16_t>(within & (one_in(6) ? ~0 : ~7));
    code_ << store(size(), 0, off, number_reg());
    if (one_in(8)) out(condition(number_reg()));
    code_ << mov_reg(1, 0) << mov(2, 0)
          << call(pick({BPF_FUNC_ringbuf_submit, BPF_FUNC_ringbuf_discard}));
  }

  std::vector<size_t> calls_;
};

}  // namespace

KernelProgram kernel_program(uint64_t seed) { return Generator(seed).program(); }
KernelProgram number_program(uint64_t seed) { return Generator(seed).numbers(); }

}  // namespace sluice::bpf
