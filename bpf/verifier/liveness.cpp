// Register liveness by the usual backward fixed point. Registers that are dead need not match when
// states are compared.
#include "bpf/helpers/helper.hpp"
#include "bpf/verifier/cfg.hpp"

namespace sluice::bpf {
namespace {

constexpr uint16_t bit(uint32_t reg) { return static_cast<uint16_t>(1u << reg); }
constexpr uint16_t kArguments = 0b111110;
constexpr uint16_t kAll = (1u << kFrameRegister) - 1;
constexpr uint16_t kCallerSaved = kArguments | 1;

RegisterUse call_use(const Insn& insn) {
  RegisterUse use{0, kCallerSaved};
  if (!is_helper_call(insn)) return {kArguments, kCallerSaved};
  const Helper* helper = find_helper(static_cast<uint32_t>(insn.imm));
  for (uint32_t i = 0; i < 5; i++) {
    if (helper == nullptr || helper->arguments[i] != Arg::none) use.reads |= bit(i + 1);
  }
  return use;
}

RegisterUse alu_use(const Insn& insn) {
  RegisterUse use{0, bit(insn.dst_reg)};
  if (alu_op(insn) != BPF_MOV) use.reads |= bit(insn.dst_reg);
  if (uses_register(insn) && alu_op(insn) != BPF_END) use.reads |= bit(insn.src_reg);
  return use;
}

RegisterUse jump_use(const Insn& insn) {
  if (is_exit(insn)) return {bit(0), 0};
  if (is_call(insn)) return call_use(insn);
  if (is_goto(insn)) return {};
  RegisterUse use{bit(insn.dst_reg), 0};
  if (uses_register(insn)) use.reads |= bit(insn.src_reg);
  return use;
}

RegisterUse atomic_use(const Insn& insn) {
  RegisterUse use{static_cast<uint16_t>(bit(insn.dst_reg) | bit(insn.src_reg)), 0};
  if (insn.imm == BPF_CMPXCHG) {
    use.reads |= bit(0);
    use.writes |= bit(0);
  } else if ((insn.imm & BPF_FETCH) != 0) {
    use.writes |= bit(insn.src_reg);
  }
  return use;
}

}  // namespace

RegisterUse register_use(const Insn& insn) {
  switch (insn_class(insn)) {
    case BPF_ALU:
    case BPF_ALU64: return alu_use(insn);
    case BPF_JMP:
    case BPF_JMP32: return jump_use(insn);
    case BPF_LDX: return {bit(insn.src_reg), bit(insn.dst_reg)};
    case BPF_ST: return {bit(insn.dst_reg), 0};
    case BPF_STX:
      if (is_load_acquire(insn)) return {bit(insn.src_reg), bit(insn.dst_reg)};
      if (is_atomic(insn)) return atomic_use(insn);
      return {static_cast<uint16_t>(bit(insn.dst_reg) | bit(insn.src_reg)), 0};
    default:
      if (is_load_imm64(insn)) return {0, bit(insn.dst_reg)};
      RegisterUse use{bit(6), kCallerSaved};
      if (insn_mode(insn) == BPF_IND) use.reads |= bit(insn.src_reg);
      return use;
  }
}

void compute_liveness(const std::vector<Insn>& insns, Cfg* cfg) {
  cfg->live.assign(insns.size(), 0);
  for (bool changed = true; changed;) {
    changed = false;
    for (auto i = static_cast<int64_t>(insns.size()) - 1; i >= 0; i--) {
      const Insn& insn = insns[i];
      if (insn.code == 0) continue;  // second slot
      uint16_t after = 0;
      if (is_conditional_jump(insn) || is_goto(insn)) after |= cfg->live[jump_target(insn, i)];
      if (!is_goto(insn) && !is_exit(insn)) after |= cfg->live[i + insn_length(insn)];
      RegisterUse use = register_use(insn);
      if (is_packet_load(insn)) use.reads = kAll;  // as Linux takes it
      const auto live = static_cast<uint16_t>((after & ~use.writes) | use.reads);
      if (live == cfg->live[i]) continue;
      cfg->live[i] = live;
      changed = true;
    }
  }
}

}  // namespace sluice::bpf
