// The walk: depth first over all paths, within the budget.
#include <algorithm>
#include <cerrno>
#include <cstdarg>

#include "bpf/isa/disasm.hpp"
#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

constexpr size_t kMaxPending = 8192;  // Linux: BPF_COMPLEXITY_LIMIT_JMP_SEQ

}  // namespace

bool Analysis::prepare() {
  program_ = std::make_shared<AnnotatedProgram>();
  program_->name = input_.name;
  program_->type = input_.type;
  program_->insns = input_.insns;
  program_->maps = input_.maps;
  type_ = find_program_type(input_.type);
  if (type_ == nullptr) return fail(EINVAL, "program type %u is not supported", input_.type);
  if (input_.maps.size() > kMaxMapsPerProgram) return fail(E2BIG, "the program uses more than %u maps", kMaxMapsPerProgram);
  cfg_ = build_cfg(input_.insns);
  if (cfg_.error.code != 0) {
    insn_ = cfg_.error.insn;
    return fail(cfg_.error.code, "%s", cfg_.error.reason.c_str());
  }
  if (!check_maps()) return false;
  insn_ = 0;
  program_->facts.resize(input_.insns.size());
  program_->subprograms = cfg_.subprograms;
  noted_.assign(input_.insns.size(), 0);
  pruner_.reset(input_.insns.size());
  state_.frames.reserve(kMaxFrames);
  state_.frames.emplace_back();
  reg(BPF_REG_1) = Register::pointer(RegType::ctx);
  reg(BPF_REG_10) = Register::pointer(RegType::stack);
  return true;
}

bool Analysis::explore() {
  if (input_.log_level != 0) log_ += "0: R1=ctx() R10=fp0\n";
  for (;;) {
    if (++processed_ > kMaxVerifiedInsns) {
      return fail(E2BIG, "BPF program is too large. Processed %llu insn", static_cast<unsigned long long>(processed_));
    }
    insns_since_++;
    bool ended = false;
    if (cfg_.prune_point[insn_] != 0) {
      const Arrival arrival = pruner_.arrive(insn_, state_, cfg_);
      if (arrival == Arrival::loops) return fail(EINVAL, "infinite loop detected at insn %u", insn_);
      ended = arrival == Arrival::covered;
      if (!ended && (insns_since_ >= 8 || jumps_since_ >= 2)) {
        parent_ = pruner_.add(insn_, state_, parent_);
        insns_since_ = jumps_since_ = 0;
      }
      if (ended && input_.log_level >= 2) log_ += std::to_string(insn_) + ": safe\n";
    }
    if (!ended) {
      const Step outcome = step();
      if (outcome == Step::failed) return false;
      ended = outcome == Step::path_end;
    }
    if (!ended) continue;
    pruner_.close(parent_);
    if (!next_pending()) return true;
  }
}

// The next path: what was put aside last. False: none left.
bool Analysis::next_pending() {
  if (pending_.empty()) return false;
  Pending& next = pending_.back();
  state_ = std::move(next.state);
  insn_ = next.insn;
  path_ = next.path;
  parent_ = next.parent;
  insns_since_ = next.insns_since;
  jumps_since_ = next.jumps_since;
  if (input_.log_level == 1) log_.resize(next.log_size);
  pending_.pop_back();
  if (input_.log_level != 0) log_ += "\nfrom a branch to " + std::to_string(insn_) + ":\n";
  return true;
}

bool Analysis::push(uint32_t insn, State&& state) {
  if (pending_.size() >= kMaxPending) {
    return fail(E2BIG, "The sequence of %zu jumps is too complex.", pending_.size());
  }
  pruner_.open(parent_);
  pending_.push_back({std::move(state), insn, path_, parent_, log_.size(), insns_since_, jumps_since_});
  peak_pending_ = std::max(peak_pending_, pending_.size());
  return true;
}

Step Analysis::step() {
  const Insn& insn = program_->insns[insn_];
  program_->facts[insn_].reachable = true;
  if (input_.log_level != 0) log_insn();
  bool good = false;
  uint32_t length = 1;
  switch (insn_class(insn)) {
    case BPF_ALU:
    case BPF_ALU64: good = transfer_alu(insn); break;
    case BPF_LDX: good = transfer_load(insn); break;
    case BPF_ST:
    case BPF_STX: good = is_atomic(insn) ? transfer_atomic(insn) : transfer_store(insn); break;
    case BPF_JMP:
    case BPF_JMP32: return step_jump(insn);
    default:
      if (is_load_imm64(insn)) {
        program_->facts[insn_ + 1].reachable = true;
        length = 2;
        good = transfer_load_imm64(insn);
      } else {
        good = transfer_packet_load(insn);
      }
      break;
  }
  if (!good) return Step::failed;
  if (input_.log_level != 0) log_state();
  insn_ += length;
  return Step::next;
}

Step Analysis::step_jump(const Insn& insn) {
  jumps_since_++;
  if (is_exit(insn)) return leave(insn);
  if (is_local_call(insn)) return enter_subprogram(insn) ? Step::next : Step::failed;
  if (is_call(insn)) {
    if (!transfer_helper(insn)) return Step::failed;
    if (input_.log_level != 0) log_state();
    insn_++;
    return Step::next;
  }
  if (is_goto(insn)) {
    if (input_.log_level != 0) log_ += "\n";
    insn_ = static_cast<uint32_t>(jump_target(insn, insn_));
    return Step::next;
  }
  return transfer_branch(insn);
}

bool Analysis::finish() {
  if (!check_depth()) return false;
  if (missing_body_ != nullptr) {
    insn_ = missing_body_insn_;
    return fail(EOPNOTSUPP, "helper bpf_%.*s#%u is not implemented", static_cast<int>(missing_body_->name.size()),
                missing_body_->name.data(), missing_body_->id);
  }
  return true;
}

VerifierResult Analysis::run() {
  const bool good = prepare() && explore() && finish();
  log_totals();
  VerifierResult result;
  result.verified_insns = processed_;
  result.log = std::move(log_);
  if (good) {
    result.program = std::move(program_);
  } else {
    result.report = std::move(report_);
  }
  return result;
}

VerifierResult verify(const VerifierInput& input) { return Analysis(input).run(); }

}  // namespace sluice::bpf
