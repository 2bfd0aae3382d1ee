// The instruction loop. Each instruction class has its own function; RFC 9669 sections are named where they decide.
#include "bpf/interp/interp.hpp"

#include "base/limits.hpp"
#include "bpf/helpers/helper.hpp"
#include "bpf/interp/alu.hpp"
#include "bpf/interp/memory.hpp"
#include "bpf/progs/sk_buff.hpp"

namespace sluice::bpf {
namespace {

struct Frame {
  alignas(8) uint8_t stack[kMaxStack];
};

// What a local call saves and the exit brings back: R6 to R9, the frame and the place to go on.
struct Return {
  uint64_t saved[4];
  uint64_t frame_pointer;
  uint32_t next;
};

class Machine {
 public:
  Machine(const AnnotatedProgram& program, PacketContext* ctx) : program_(program), ctx_(ctx) {
    registers_[BPF_REG_1] = reinterpret_cast<uint64_t>(ctx);
    enter_frame();
  }

  uint64_t run() {
    while (!done_) step(program_.insns[at_]);
    return registers_[BPF_REG_0];
  }

 private:
  void enter_frame() {
    Frame& frame = frames_[depth_];
    __builtin_memset(frame.stack, 0, sizeof frame.stack);
    registers_[BPF_REG_10] = reinterpret_cast<uint64_t>(frame.stack + kMaxStack);
  }

  void step(const Insn& insn) {
    switch (insn_class(insn)) {
      case BPF_ALU64: alu64(insn, registers_); break;
      case BPF_ALU: alu32(insn, registers_); break;
      case BPF_JMP:
      case BPF_JMP32: jump(insn); return;
      case BPF_LD: load_special(insn); return;
      case BPF_LDX: load(insn); break;
      case BPF_ST: store(insn, static_cast<uint64_t>(int64_t{insn.imm})); break;
      default:
        if (is_atomic(insn)) {
          atomic(insn, registers_);
        } else {
          store(insn, registers_[insn.src_reg]);
        }
    }
    at_++;
  }

  void jump(const Insn& insn) {
    if (is_exit(insn)) {
      leave();
    } else if (is_local_call(insn)) {
      enter(static_cast<uint32_t>(jump_target(insn, at_)));
    } else if (is_call(insn)) {
      call_helper(static_cast<uint32_t>(insn.imm));
      at_++;
    } else {
      const bool taken = is_goto(insn) || jump_taken(insn, registers_);
      at_ = taken ? static_cast<uint32_t>(jump_target(insn, at_)) : at_ + 1;
    }
  }

  void enter(uint32_t target) {
    Return& back = returns_[depth_++];
    for (int i = 0; i < 4; i++) back.saved[i] = registers_[BPF_REG_6 + i];
    back.frame_pointer = registers_[BPF_REG_10];
    back.next = at_ + 1;
    enter_frame();
    at_ = target;
  }

  void leave() {
    if (depth_ == 0) {
      done_ = true;
      return;
    }
    const Return& back = returns_[--depth_];
    for (int i = 0; i < 4; i++) registers_[BPF_REG_6 + i] = back.saved[i];
    registers_[BPF_REG_10] = back.frame_pointer;
    at_ = back.next;
  }

  void call_helper(uint32_t id) {
    const HelperBody body = find_helper(id)->body;
    registers_[BPF_REG_0] = body(ctx_, registers_[BPF_REG_1], registers_[BPF_REG_2], registers_[BPF_REG_3],
                                 registers_[BPF_REG_4], registers_[BPF_REG_5]);
  }

  // RFC 9669, 5.4 (64-bit immediates) and 5.5 (legacy packet access).
  void load_special(const Insn& insn) {
    if (is_load_imm64(insn)) {
      registers_[insn.dst_reg] = immediate(insn, program_.insns[at_ + 1]);
      at_ += 2;
      return;
    }
    auto offset = static_cast<uint32_t>(insn.imm);
    if (insn_mode(insn) == BPF_IND) offset += static_cast<uint32_t>(registers_[insn.src_reg]);
    uint32_t value = 0;
    if (!packet_load(ctx_, static_cast<int32_t>(offset), access_size(insn), &value)) {
      registers_[BPF_REG_0] = 0;
      done_ = true;
      return;
    }
    registers_[BPF_REG_0] = value;
    at_++;
  }

  uint64_t immediate(const Insn& first, const Insn& second) const {
    const auto low = static_cast<uint32_t>(first.imm);
    const auto high = static_cast<uint32_t>(second.imm);
    if (first.src_reg == BPF_PSEUDO_MAP_FD) return reinterpret_cast<uint64_t>(&program_.maps[low]->core());
    if (first.src_reg == BPF_PSEUDO_MAP_VALUE) {
      return reinterpret_cast<uint64_t>(program_.maps[low]->core().values) + high;
    }
    return uint64_t{high} << 32 | low;
  }

  void load(const Insn& insn) {
    const InsnFact& fact = program_.facts[at_];
    if (fact.region == Region::ctx) {
      registers_[insn.dst_reg] = ctx_read(ctx_, static_cast<uint32_t>(fact.offset), access_size(insn));
      return;
    }
    registers_[insn.dst_reg] = load_memory(insn, registers_[insn.src_reg]);
  }

  void store(const Insn& insn, uint64_t value) {
    const InsnFact& fact = program_.facts[at_];
    if (fact.region == Region::ctx) {
      ctx_write(ctx_, static_cast<uint32_t>(fact.offset), access_size(insn), value);
      return;
    }
    store_memory(insn, registers_[insn.dst_reg], value);
  }

  const AnnotatedProgram& program_;
  PacketContext* ctx_;
  uint64_t registers_[kRegisters] = {};
  uint32_t at_ = 0;
  uint32_t depth_ = 0;
  bool done_ = false;
  Return returns_[kMaxFrames];
  Frame frames_[kMaxFrames];  // cleared as each is entered
};

class InterpretedBurst final : public Burst {
 public:
  explicit InterpretedBurst(ChainSpec spec) : spec_(std::move(spec)) {}

  void run(void* const* packets, uint32_t count, uint32_t* verdicts, RunEnv* env,
           ProgramCounters* counters) const override {
    for (uint32_t i = 0; i < count; i++) verdicts[i] = run_one(packets[i], env, counters);
  }

 private:
  uint32_t run_one(const void* packet, RunEnv* env, ProgramCounters* counters) const {
    PacketContext ctx;
    load_context(&ctx, spec_.layout, packet, env);
    uint32_t kept = ctx.captured;
    for (size_t i = 0; i < spec_.programs.size(); i++) {
      const auto verdict = static_cast<uint32_t>(interpret(*spec_.programs[i], &ctx));
      counters[i].run++;
      if (verdict == 0) return 0;
      counters[i].passed++;
      if (verdict < ctx.captured) counters[i].trimmed++;
      if (verdict < kept) kept = verdict;
    }
    return kept;
  }

  ChainSpec spec_;
};

}  // namespace

uint64_t interpret(const AnnotatedProgram& program, PacketContext* ctx) { return Machine(program, ctx).run(); }

std::unique_ptr<Burst> make_interpreted_burst(ChainSpec spec) {
  return std::make_unique<InterpretedBurst>(std::move(spec));
}

}  // namespace sluice::bpf
