#include "bpf/verifier/dead_code.hpp"

#include "bpf/isa/opcode_new.hpp"

namespace sluice::bpf {
namespace {

constexpr uint8_t kJump = BPF_JMP | BPF_JA;
constexpr int32_t kGone = -1;  // a subprogram of which nothing is left

uint32_t target_of(const Insn& insn, uint32_t index) {
  return static_cast<uint32_t>(jump_target(insn, index));
}

// A comparison that went one way only becomes a jump; where it never jumped, a jump to the next
// instruction.
void wire_decided_jumps(AnnotatedProgram* program, const std::vector<bool>& reached) {
  for (uint32_t i = 0; i < program->insns.size(); i++) {
    Insn& insn = program->insns[i];
    if (!reached[i] || !is_conditional_jump(insn)) continue;
    if (!reached[i + 1]) {
      insn = {kJump, 0, 0, insn.off, 0};
    } else if (!reached[target_of(insn, i)]) {
      insn = {kJump, 0, 0, 0, 0};
    }
  }
}

class Compaction {
 public:
  // kept: one an instruction slot.
  Compaction(AnnotatedProgram* program, const std::vector<bool>& kept)
      : program_(*program), kept_(kept) {
    uint32_t at = 0;
    for (const bool keep : kept) {
      new_index_.push_back(at);
      at += keep ? 1 : 0;
    }
    new_index_.push_back(at);
  }

  void run(std::vector<uint32_t>* origins) {
    renumber_subprograms();
    for (uint32_t i = 0; i < program_.insns.size(); i++) {
      if (!kept_[i]) continue;
      adjust(i);
      const uint32_t to = new_index_[i];
      program_.insns[to] = program_.insns[i];
      program_.facts[to] = program_.facts[i];
      (*origins)[to] = (*origins)[i];
    }
    program_.insns.resize(new_index_.back());
    program_.facts.resize(new_index_.back());
    origins->resize(new_index_.back());
  }

 private:
  void renumber_subprograms() {
    std::vector<Subprogram> left;
    for (Subprogram sub : program_.subprograms) {
      sub.start = new_index_[sub.start];
      sub.end = new_index_[sub.end];
      const bool stays = sub.start != sub.end;
      new_subprogram_.push_back(stays ? static_cast<int32_t>(left.size()) : kGone);
      if (stays) left.push_back(sub);
    }
    program_.subprograms = std::move(left);
  }

  [[nodiscard]] int32_t distance(uint32_t from, uint32_t to) const {
    return static_cast<int32_t>(new_index_[to]) - static_cast<int32_t>(new_index_[from]) - 1;
  }

  void adjust(uint32_t i) {
    Insn& insn = program_.insns[i];
    int32_t& callback = program_.facts[i].callback;
    if (callback >= 0) callback = new_subprogram_[static_cast<size_t>(callback)];
    if (is_load_imm64(insn) && insn.src_reg == BPF_PSEUDO_FUNC) {
      insn.imm = new_subprogram_[static_cast<size_t>(insn.imm)];
      // Given to a loop without rounds: a number like another.
      if (insn.imm == kGone) insn.src_reg = 0;
    } else if (is_local_call(insn) || insn.code == kJmp32Ja) {
      insn.imm = distance(i, target_of(insn, i));
    } else if (is_goto(insn) || is_conditional_jump(insn)) {
      insn.off = static_cast<int16_t>(distance(i, target_of(insn, i)));
    }
  }

  AnnotatedProgram& program_;
  const std::vector<bool>& kept_;
  std::vector<uint32_t> new_index_;  // of what is kept, and of what follows it for the rest
  std::vector<int32_t> new_subprogram_;
};

}  // namespace

std::vector<uint32_t> remove_dead_code(AnnotatedProgram* program,
                                       const std::vector<bool>& reached) {
  std::vector<uint32_t> origins(program->insns.size());
  for (uint32_t i = 0; i < origins.size(); i++) origins[i] = i;
  wire_decided_jumps(program, reached);
  Compaction(program, reached).run(&origins);
  // Jumps that lead nowhere, once what they led over is gone.
  std::vector<bool> kept;
  for (const Insn& insn : program->insns) kept.push_back(insn.code != kJump || insn.off != 0);
  Compaction(program, kept).run(&origins);
  return origins;
}

}  // namespace sluice::bpf
