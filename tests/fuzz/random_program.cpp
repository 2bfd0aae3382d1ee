#include "tests/fuzz/random_program.hpp"

#include <cstddef>

#include "tests/fuzz/random_code.hpp"

namespace sluice::bpf {
namespace {

using namespace build;

// Between statements R6 is ctx, R9 a loop counter, the others hold numbers, and fp-8 to fp-64 are
// initialised.
class Generator : private RandomCode {
 public:
  explicit Generator(uint64_t seed) : RandomCode(std::mt19937_64(seed)) {}

  RandomProgram program() {
    type_ = one_in(3) ? BPF_PROG_TYPE_SCHED_CLS : BPF_PROG_TYPE_SOCKET_FILTER;
    // No pointer among the numbers: what a program makes of an address differs from run to run.
    code_ << mov_reg(6, 1) << mov(1, number());
    for (int16_t off = -64; off < 0; off = static_cast<int16_t>(off + 8))
      code_ << store_imm(BPF_DW, 10, off, number());
    for (const uint8_t reg : {0, 7, 8, 9}) code_ << imm64(reg, wide());
    refresh();
    const uint32_t statements = 2 + below(14);
    for (uint32_t i = 0; i < statements; i++) statement(2);
    ending();
    return {type_, code_};
  }

 private:
  uint64_t wide() { return one_in(3) ? below(300) : one_in(2) ? random_() : random_() >> 40; }
  int32_t number() { return static_cast<int32_t>(one_in(2) ? below(100) : random_()); }
  uint8_t target() { return static_cast<uint8_t>(pick({0, 2, 3, 4, 5, 7, 8})); }
  // not readable after a call: refused
  uint8_t source() { return one_in(40) ? uint8_t{1} : target(); }
  int16_t frame(uint32_t size) {
    return static_cast<int16_t>(-64 + static_cast<int>(below(64 / size) * size));
  }

  // What a call or a packet load has clobbered.
  void refresh() {
    for (uint8_t reg = 2; reg <= 5; reg++) code_ << mov(reg, number());
  }

  void statement(int depth) {
    if (one_in(5)) return newer_statement();
    switch (below(16)) {
      case 0: return frame_store();
      case 1: return frame_load();
      case 2: return context_load();
      case 3: return packet();
      case 4: return map_lookup();
      case 5: return map_write();
      case 6: return frame_atomic();
      case 7: return depth > 0 ? branch(depth) : arithmetic();
      case 8: return depth > 0 ? branch(depth) : arithmetic();
      case 9: return depth == 2 ? loop() : arithmetic();
      case 10: return simple_call();
      case 11: return local_call();
      case 12: return bytes_of_packet();
      default:
        for (uint32_t i = 0; i < 1 + below(4); i++) arithmetic();
    }
  }

  // What came after RFC 9669's first programs: callbacks, long jumps, variable offsets, packet
  // pointers.
  void newer_statement() {
    switch (below(8)) {
      case 0: return loop_with_callback();
      case 1: return iterate();
      case 2: return long_jump();
      case 3: return variable_frame_load();
      case 4: return variable_value_access();
      case 5: return type_ == BPF_PROG_TYPE_SCHED_CLS ? checksum() : relative_bytes();
      default: return type_ == BPF_PROG_TYPE_SCHED_CLS ? packet_pointer() : relative_bytes();
    }
  }

  void callback_address(uint32_t which) {
    callbacks_.push_back({code_.size(), which});
    code_ << imm64(2, 0, BPF_PSEUDO_FUNC);
  }

  void loop_with_callback() {
    code_ << mov(1, static_cast<int32_t>(below(12)));
    callback_address(0);
    code_ << mov_reg(3, 10) << alu(BPF_ADD, 3, frame(8)) << mov(4, 0) << call(BPF_FUNC_loop);
    refresh();
  }

  void iterate() {
    code_ << map_fd(1, below(3));
    callback_address(1);
    code_ << mov_reg(3, 10) << alu(BPF_ADD, 3, frame(8)) << mov(4, 0)
          << call(BPF_FUNC_for_each_map_elem);
    refresh();
  }

  void long_jump() {
    Code outer;
    std::swap(outer, code_);
    arithmetic();
    std::swap(outer, code_);
    code_ << jump(BPF_JGT, target(), number(), 1);
    code_ << go_long(static_cast<int32_t>(outer.size())) << outer;
  }

  void variable_frame_load() {
    const uint8_t reg = static_cast<uint8_t>(pick({7, 8}));
    code_ << alu(BPF_AND, reg, 31) << mov_reg(1, 10) << alu_reg(BPF_ADD, 1, reg)
          << load(BPF_B, target(), 1, -64);
  }

  void variable_value_access() {
    const uint8_t reg = static_cast<uint8_t>(pick({7, 8}));
    const int width = size();
    code_ << alu(BPF_AND, reg, one_in(2) ? 24 : 31) << map_value(1, 0) << alu_reg(BPF_ADD, 1, reg);
    code_ << (one_in(2) ? store(width, 1, 8, target()) : load(width, target(), 1, 8));
  }

  void checksum() {
    code_ << mov_reg(1, 10) << alu(BPF_ADD, 1, -64) << mov(2, static_cast<int32_t>(4 * below(5)));
    code_ << mov_reg(3, 10) << alu(BPF_ADD, 3, -32) << mov(4, static_cast<int32_t>(4 * below(5)))
          << mov(5, number());
    code_ << call(BPF_FUNC_csum_diff);
    refresh();
  }

  void relative_bytes() {
    code_ << mov_reg(1, 6) << mov(2, static_cast<int32_t>(below(60))) << mov_reg(3, 10)
          << alu(BPF_ADD, 3, -56);
    code_ << mov(4, static_cast<int32_t>(1 + below(16))) << mov(5, static_cast<int32_t>(below(3)));
    code_ << call(BPF_FUNC_skb_load_bytes_relative);
    refresh();
  }

  // R1 = data + a known or bounded offset, 8 bytes of it checked against data_end.
  void packet_pointer() {
    Code inside;
    const int width = size();
    const auto off = static_cast<int16_t>(below(8 / bytes(width)) * bytes(width));
    switch (below(3)) {
      case 0: inside << load(width, 7, 1, off); break;
      case 1: inside << store(width, 1, off, 8); break;
      default: inside << store_imm(width, 1, off, number()) << load(BPF_DW, 8, 1, 0);
    }
    code_ << load(BPF_W, 1, 6, offsetof(__sk_buff, data))
          << load(BPF_W, 2, 6, offsetof(__sk_buff, data_end));
    if (one_in(2)) {
      code_ << alu(BPF_AND, 7, 63) << alu_reg(BPF_ADD, 1, 7);
    } else {
      code_ << alu(BPF_ADD, 1, static_cast<int32_t>(below(90)));
    }
    code_ << mov_reg(3, 1) << alu(BPF_ADD, 3, 8)
          << jump_reg(BPF_JGT, 3, 2, static_cast<int16_t>(inside.size())) << inside;
    code_ << mov(1, number());
    refresh();
  }

  void arithmetic() {
    const uint8_t dst = target();
    const bool wide = one_in(2);
    switch (below(6)) {
      case 0: return shift(dst, wide);
      case 1: {
        const int op = pick({BPF_DIV, BPF_MOD});
        const auto is_signed = static_cast<int16_t>(below(2));
        if (one_in(2)) {
          code_ << (wide ? alu_reg(op, dst, source(), is_signed)
                         : alu32_reg(op, dst, source(), is_signed));
        } else {
          const int32_t by = one_in(4) ? -1 : number() | 1;
          code_ << (wide ? alu(op, dst, by, is_signed) : alu32(op, dst, by, is_signed));
        }
        return;
      }
      case 2: return conversion(dst);
      case 3: {
        const int op = pick({BPF_LSH, BPF_RSH, BPF_ARSH, BPF_ADD, BPF_MUL});
        code_ << (wide ? alu_reg(op, dst, source()) : alu32_reg(op, dst, source()));
        return;
      }
      default: {
        const int op = pick({BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR, BPF_AND, BPF_XOR, BPF_MOV});
        if (one_in(2)) {
          code_ << (wide ? alu_reg(op, dst, source()) : alu32_reg(op, dst, source()));
        } else {
          code_ << (wide ? alu(op, dst, number()) : alu32(op, dst, number()));
        }
      }
    }
  }

  void conversion(uint8_t dst) {
    switch (below(4)) {
      case 0: code_ << endian(pick({BPF_TO_BE, BPF_TO_LE}), dst, pick({16, 32, 64})); return;
      case 1: code_ << swap(dst, pick({16, 32, 64})); return;
      case 2:
        code_ << alu_reg(BPF_MOV, dst, target(), static_cast<int16_t>(pick({8, 16, 32})));
        return;
      default: code_ << alu32_reg(BPF_MOV, dst, target(), static_cast<int16_t>(pick({8, 16})));
    }
  }

  void frame_store() {
    const int width = size();
    if (one_in(2)) {
      code_ << store(width, 10, frame(bytes(width)), target());
    } else {
      code_ << store_imm(width, 10, frame(bytes(width)), number());
    }
  }

  void frame_load() {
    const int width = size();
    const uint8_t dst = target();
    if (width != BPF_DW && one_in(3)) {
      code_ << load_signed(width, dst, 10, frame(bytes(width)));
    } else {
      code_ << load(width, dst, 10, frame(bytes(width)));
    }
  }

  void context_load() {
    static const int kFields[] = {offsetof(__sk_buff, len),     offsetof(__sk_buff, protocol),
                                  offsetof(__sk_buff, mark),    offsetof(__sk_buff, pkt_type),
                                  offsetof(__sk_buff, ifindex), offsetof(__sk_buff, hash),
                                  offsetof(__sk_buff, cb) + 4};
    const auto cb = static_cast<int16_t>(offsetof(__sk_buff, cb) + 4 * below(5));
    if (one_in(3)) {
      code_ << store(BPF_W, 6, cb, target()) << load(pick({BPF_W, BPF_H, BPF_B}), target(), 6, cb);
    } else {
      code_ << load(BPF_W, target(), 6, static_cast<int16_t>(pick(kFields)));
    }
  }

  void packet() {
    const int width = pick({BPF_B, BPF_H, BPF_W});
    const auto offset = static_cast<int32_t>(one_in(10) ? below(2000) : below(50));
    if (one_in(3)) {
      const uint8_t reg = static_cast<uint8_t>(pick({7, 8}));
      code_ << alu(BPF_AND, reg, 31) << load_ind(width, reg, offset);
    } else {
      code_ << load_abs(width, offset);
    }
    refresh();
  }

  // Key at fp-64 (20 bytes at most), so that equal keys come again: few distinct ones.
  void key(uint32_t map) {
    code_ << store_imm(BPF_W, 10, -64, static_cast<int32_t>(below(5)));
    if (map == 3 && one_in(2)) code_ << store_imm(BPF_DW, 10, -56, static_cast<int32_t>(below(2)));
    if (map == 3) {
      code_ << store_imm(BPF_W, 10, -60, 1) << store_imm(BPF_DW, 10, -56, 0)
            << store_imm(BPF_W, 10, -48, 7);
    }
    code_ << map_fd(1, map) << mov_reg(2, 10) << alu(BPF_ADD, 2, -64);
  }

  void map_lookup() {
    const uint32_t map = below(4);
    key(map);
    code_ << call(BPF_FUNC_map_lookup_elem);
    Code found;
    const int width = size();
    const auto off = static_cast<int16_t>(below(16 / bytes(width)) * bytes(width));
    switch (below(4)) {
      case 0: found << load(width, 7, 0, off); break;
      case 1: found << store(width, 0, off, 8); break;
      case 2:
        found << atomic(BPF_DW, atomic_operation(), 0, static_cast<int16_t>(8 * below(2)), 8);
        break;
      default:
        found << mov(3, number())
              << atomic(BPF_W, atomic_operation(), 0, static_cast<int16_t>(4 * below(4)), 3);
    }
    // unchecked: refused
    if (!one_in(30)) code_ << jump(BPF_JEQ, 0, 0, static_cast<int16_t>(found.size()));
    code_ << found << mov(0, number());
    refresh();
  }

  int atomic_operation() {
    return pick({BPF_ADD, BPF_OR, BPF_AND, BPF_XOR, BPF_ADD | BPF_FETCH, BPF_OR | BPF_FETCH,
                 BPF_AND | BPF_FETCH, BPF_XOR | BPF_FETCH, BPF_XCHG});
  }

  void map_write() {
    const uint32_t map = 1 + below(3);
    key(map);
    if (one_in(3)) {
      code_ << call(BPF_FUNC_map_delete_elem);
    } else {
      code_ << mov_reg(3, 10) << alu(BPF_ADD, 3, -32)
            << mov(4, pick({BPF_ANY, BPF_ANY, BPF_NOEXIST, BPF_EXIST}));
      code_ << call(BPF_FUNC_map_update_elem);
    }
    refresh();
  }

  void frame_atomic() {
    const int width = pick({BPF_W, BPF_DW});
    code_ << atomic(width, one_in(8) ? BPF_CMPXCHG : atomic_operation(), 10, frame(bytes(width)),
                    target());
  }

  void branch(int depth) {
    Code outer;
    std::swap(outer, code_);
    const size_t first_callback = callbacks_.size();
    const uint32_t inner = 1 + below(3);
    for (uint32_t i = 0; i < inner; i++) statement(depth - 1);
    std::swap(outer, code_);
    for (size_t i = first_callback; i < callbacks_.size(); i++) {
      callbacks_[i].first += code_.size() + 1;  // behind the jump
    }
    const auto skip = static_cast<int16_t>(outer.size());
    const int op = pick(kCompare);
    const bool wide = one_in(2);
    if (one_in(2)) {
      code_ << (wide ? jump_reg(op, target(), source(), skip)
                     : jump32_reg(op, target(), source(), skip));
    } else {
      code_ << (wide ? jump(op, target(), number(), skip) : jump32(op, target(), number(), skip));
    }
    code_ << outer;
  }

  void loop() {
    code_ << mov(9, static_cast<int32_t>(1 + below(6)));
    const size_t start = code_.size();
    for (uint32_t i = 0; i < 1 + below(3); i++) arithmetic();
    code_ << alu(BPF_SUB, 9, 1);
    code_ << jump(
        BPF_JNE, 9, 0,
        static_cast<int16_t>(static_cast<int>(start) - static_cast<int>(code_.size()) - 1));
  }

  void simple_call() {
    code_ << call(pick({BPF_FUNC_get_prandom_u32, BPF_FUNC_get_smp_processor_id}));
    refresh();
  }

  void bytes_of_packet() {
    code_ << mov_reg(1, 6) << mov(2, static_cast<int32_t>(below(70))) << mov_reg(3, 10)
          << alu(BPF_ADD, 3, -40);
    code_ << mov(4, static_cast<int32_t>(1 + below(16))) << call(BPF_FUNC_skb_load_bytes);
    refresh();
  }

  // The target is set by ending(), where the one subprogram is.
  void local_call() {
    code_ << mov_reg(1, target()) << mov_reg(2, target());
    local_calls_.push_back(call_local(0));
    code_ << local_calls_.back();
    refresh();
  }

  void ending() {
    for (const uint8_t reg : {2, 3, 4, 5, 7, 8})
      code_ << alu(BPF_MUL, 0, 31) << alu_reg(BPF_XOR, 0, reg);
    for (int16_t off = -64; off < 0; off = static_cast<int16_t>(off + 8)) {
      code_ << load(BPF_DW, 1, 10, off) << alu(BPF_MUL, 0, 31) << alu_reg(BPF_ADD, 0, 1);
    }
    code_ << map_value(1, 0) << store(BPF_DW, 1, 0, 0) << exit();
    if (!local_calls_.empty()) local_subprogram();
    for (uint32_t which = 0; which < 2; which++) callback_subprogram(which);
  }

  void local_subprogram() {
    const auto subprogram = static_cast<int32_t>(code_.size());
    for (size_t i = 0; i < code_.size(); i += insn_length(code_[i])) {
      if (is_local_call(code_[i])) code_[i].imm = subprogram - static_cast<int32_t>(i) - 1;
    }
    code_ << store(BPF_DW, 10, -8, 1) << alu_reg(BPF_XOR, 1, 2) << load(BPF_W, 0, 10, -4);
    code_ << jump32(BPF_JGT, 1, number(), 1) << alu_reg(BPF_MUL, 0, 2) << alu_reg(BPF_ADD, 0, 1)
          << exit();
  }

  // 0: of a loop, takes its index and a word of the frame, may stop. 1: of an iteration, adds up,
  // in any order.
  void callback_subprogram(uint32_t which) {
    const auto start = static_cast<int32_t>(code_.size());
    bool used = false;
    for (const auto& [at, wanted] : callbacks_) {
      if (wanted != which) continue;
      code_[at].imm = start - static_cast<int32_t>(at) - 1;
      used = true;
    }
    if (!used) return;
    if (which == 0) {
      code_ << load(BPF_DW, 3, 2, 0) << alu_reg(pick({BPF_XOR, BPF_ADD, BPF_MUL}), 3, 1)
            << alu(BPF_ADD, 3, number());
      code_ << store(BPF_DW, 2, 0, 3) << mov(0, 0) << jump(BPF_JGT, 3, number() & 0x7fffffff, 1)
            << mov(0, 1) << exit();
    } else {
      code_ << load(BPF_W, 2, 2, 0) << load(BPF_DW, 3, 3, 8) << alu_reg(BPF_MUL, 3, 2)
            << load(BPF_DW, 5, 4, 0);
      code_ << alu_reg(BPF_ADD, 5, 3) << store(BPF_DW, 4, 0, 5) << mov(0, 0) << exit();
    }
  }

  uint32_t type_ = 0;
  // where a callback's address is loaded, and which one's
  std::vector<std::pair<size_t, uint32_t>> callbacks_;
  Code local_calls_;
};

}  // namespace

RandomProgram random_program(uint64_t seed) { return Generator(seed).program(); }

}  // namespace sluice::bpf
