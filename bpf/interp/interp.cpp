// The instruction loop. Each instruction class has its own function; RFC 9669 sections are named
// where they decide.
#include "bpf/interp/interp.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "bpf/helpers/helper.hpp"
#include "bpf/interp/alu.hpp"
#include "bpf/interp/memory.hpp"
#include "bpf/progs/chain_step.hpp"
#include "bpf/progs/sk_buff.hpp"
#include "bpf/progs/tail_target.hpp"
#include "bpf/progs/xdp_md.hpp"

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

// A helper's callback leaves here, back to the helper's body.
constexpr uint32_t kBackToHelper = UINT32_MAX;

class Machine {
 public:
  Machine(const AnnotatedProgram& program, PacketContext* ctx) : program_(program), ctx_(ctx) {
    registers_[BPF_REG_1] = reinterpret_cast<uint64_t>(ctx);
    enter_frame();
  }

  uint64_t run() {
    run_until_left();
    return registers_[BPF_REG_0];
  }

 private:
  void run_until_left() {
    for (done_ = false; !done_;) step(program_.insns[at_]);
  }

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
    done_ = at_ == kBackToHelper;
  }

  void call_helper(uint32_t id) {
    if (id == BPF_FUNC_loop || id == BPF_FUNC_for_each_map_elem) return call_with_callback(id);
    call_body(id);
    if (id == BPF_FUNC_tail_call && registers_[BPF_REG_0] != 0) return tail_call();
    at_++;
  }

  void call_body(uint32_t id) {
    const HelperBody body = find_helper(id)->body;
    registers_[BPF_REG_0] =
        body(ctx_, registers_[BPF_REG_1], registers_[BPF_REG_2], registers_[BPF_REG_3],
             registers_[BPF_REG_4], registers_[BPF_REG_5]);
  }

  // The target runs in place of the current frame: what it returns, this frame returns.
  void tail_call() {
    const auto* target = reinterpret_cast<const TailTarget*>(registers_[BPF_REG_0]);
    registers_[BPF_REG_0] = target->code(ctx_, target);
    leave();
  }

  // R2 is the subprogram's index. The body gets a function that comes back here for it.
  void call_with_callback(uint32_t id) {
    void* const outer_engine = ctx_->engine;
    const auto outer_callback = callback_;
    const uint32_t next = at_ + 1;
    callback_ = static_cast<uint32_t>(registers_[BPF_REG_2]);
    ctx_->engine = this;
    registers_[BPF_REG_2] = reinterpret_cast<uint64_t>(&Machine::enter_callback);
    call_body(id);
    ctx_->engine = outer_engine;
    callback_ = outer_callback;
    at_ = next;
  }

  static uint64_t enter_callback(PacketContext* ctx, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                                 uint64_t e) {
    const uint64_t arguments[5] = {a, b, c, d, e};
    return static_cast<Machine*>(ctx->engine)->run_callback(arguments);
  }

  uint64_t run_callback(const uint64_t* arguments) {
    for (int i = 0; i < 5; i++) registers_[BPF_REG_1 + i] = arguments[i];
    at_ = kBackToHelper - 1;  // so that enter() notes kBackToHelper as the way back
    enter(program_.subprograms[callback_].start);
    run_until_left();
    done_ = false;
    return registers_[BPF_REG_0];
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
      leave();
      return;
    }
    registers_[BPF_REG_0] = value;
    at_++;
  }

  uint64_t immediate(const Insn& first, const Insn& second) const {
    const auto low = static_cast<uint32_t>(first.imm);
    const auto high = static_cast<uint32_t>(second.imm);
    if (first.src_reg == BPF_PSEUDO_MAP_FD)
      return reinterpret_cast<uint64_t>(&program_.maps[low]->core());
    if (first.src_reg == BPF_PSEUDO_MAP_VALUE) {
      return reinterpret_cast<uint64_t>(program_.maps[low]->core().values) + high;
    }
    return uint64_t{high} << 32 | low;
  }

  void load(const Insn& insn) {
    const InsnFact& fact = program_.facts[at_];
    if (fact.region == Region::ctx) {
      const auto offset = static_cast<uint32_t>(fact.offset);
      registers_[insn.dst_reg] = program_.type == BPF_PROG_TYPE_XDP
                                     ? xdp_load(ctx_, offset)
                                     : ctx_read(ctx_, offset, access_size(insn));
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
  uint32_t callback_ = 0;  // subprogram that the helper being called calls back
  bool done_ = false;
  Return returns_[kMaxFrames];
  Frame frames_[kMaxFrames];  // cleared as each is entered
};

class InterpretedBurst final : public Burst {
 public:
  explicit InterpretedBurst(ChainSpec spec) : spec_(std::move(spec)) {
    for (const auto& program : spec_.programs) forwards_ |= forwards(program->type);
  }

  void run(void* const* packets, uint32_t count, uint32_t* verdicts, RunEnv* env,
           ProgramCounters* counters) const override {
    for (uint32_t i = 0; i < count; i++) verdicts[i] = run_one(packets[i], env, counters);
  }

 private:
  uint32_t run_one(void* packet, RunEnv* env, ProgramCounters* counters) const {
    PacketContext ctx;
    load_context(&ctx, spec_.layout, packet, env);
    if (forwards_) load_room(&ctx, spec_.layout, packet);
    uint32_t kept = UINT32_MAX;
    Step step = Step::next;
    for (size_t i = 0; i < spec_.programs.size() && step == Step::next; i++) {
      step = run_program(*spec_.programs[i], &ctx, &kept, counters + i);
    }
    if (step == Step::drop) return 0;
    return forwards_ ? finish_packet(&ctx, spec_.layout, packet, step, kept)
                     : std::min(kept, ctx.captured);
  }

  static Step run_program(const AnnotatedProgram& program, PacketContext* ctx, uint32_t* kept,
                          ProgramCounters* counters) {
    if (program.type != BPF_PROG_TYPE_XDP) enter_stack(ctx);
    ctx->tail_calls = 0;
    const auto result = static_cast<uint32_t>(interpret(program, ctx));
    const Step step = step_of(program.type, result);
    counters->run++;
    if (step == Step::next || step == Step::pass) counters->passed++;
    if (step == Step::transmit) counters->transmitted++;
    if (step == Step::redirect) counters->redirected++;
    if (!forwards(program.type) && step == Step::next && result < ctx->captured) {
      counters->trimmed++;
      *kept = std::min(*kept, result);
    }
    return step;
  }

  ChainSpec spec_;
  bool forwards_ = false;
};

}  // namespace

uint64_t interpret(const AnnotatedProgram& program, PacketContext* ctx) {
  return Machine(program, ctx).run();
}

uint64_t interpret_target(PacketContext* ctx, const TailTarget* target) {
  return interpret(*target->program, ctx);
}

std::unique_ptr<Burst> make_interpreted_burst(ChainSpec spec) {
  return std::make_unique<InterpretedBurst>(std::move(spec));
}

}  // namespace sluice::bpf
