// The walk: depth first over all paths, within the budget.
#include <algorithm>
#include <cerrno>
#include <cstdarg>

#include "bpf/isa/opcode.hpp"
#include "bpf/verifier/analysis.hpp"
#include "bpf/verifier/dead_code.hpp"

namespace sluice::bpf {
namespace {

constexpr size_t kMaxPending = 8192;  // Linux: BPF_COMPLEXITY_LIMIT_JMP_SEQ
constexpr uint32_t kMemoryCheckEvery = 64;
constexpr uint32_t kWaypointEvery = 256;

}  // namespace

bool Analysis::prepare() {
  program_ = std::make_shared<AnnotatedProgram>();
  program_->name = input_.name;
  program_->type = input_.type;
  program_->hardening = input_.hardening;
  program_->insns = input_.insns;
  program_->maps = input_.maps;
  for (const auto& map : input_.maps) maps_.push_back(map.get());
  if (!check_program()) return false;
  cfg_ = build_cfg(input_.insns);
  log_subprograms();
  if (cfg_.error.code != 0) {
    insn_ = cfg_.error.insn;
    return fail(cfg_.error.code, "%s", cfg_.error.reason.c_str());
  }
  if (!check_subprograms() || !check_maps()) return false;
  insn_ = 0;
  program_->facts.resize(input_.insns.size());
  reached_.resize(input_.insns.size());
  program_->subprograms = cfg_.subprograms;
  noted_.assign(input_.insns.size(), 0);
  uses_.resize(input_.maps.size());
  tail_calls_.assign(cfg_.subprograms.size(), 0);
  called_.assign(cfg_.subprograms.size(), 0);
  callback_.assign(cfg_.subprograms.size(), 0);
  pruner_.reset(input_.insns.size());
  return true;
}

bool Analysis::check_program() {
  type_ = find_program_type(input_.type);
  if (type_ == nullptr) return fail(EINVAL, "program type %u is not supported", input_.type);
  if (input_.maps.size() > kMaxMapsPerProgram) {
    return fail(E2BIG, "the program uses more than %u maps", kMaxMapsPerProgram);
  }
  if ((input_.flags & BPF_F_SLEEPABLE) != 0 && input_.type != BPF_PROG_TYPE_KPROBE) {
    return fail(
        EINVAL,
        "Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable");
  }
  return true;
}

// The state at the start of a subprogram that is verified by itself.
void Analysis::enter(uint32_t subprogram) {
  entry_ = subprogram;
  insn_ = cfg_.subprograms[subprogram].start;
  state_ = State{};
  state_.frames.reserve(kMaxFrames);
  state_.frames.emplace_back();
  state_.top().subprogram = subprogram;
  reg(BPF_REG_10) = Register::pointer(RegType::stack);
  parent_ = nullptr;
  path_ = -1;
  path_node_ = kNoNode;
  marks_since_ = 0;
  steps_since_ = 0;
  if (subprogram == 0) {
    reg(BPF_REG_1) = Register::pointer(RegType::ctx);
    return;
  }
  const auto& arguments = infos_[subprogram].arguments;
  for (uint32_t i = 0; i < arguments.size(); i++) {
    Register& given = reg(BPF_REG_1 + i);
    switch (arguments[i].kind) {
      case GlobalArgument::Kind::number: given = Register::unknown(); break;
      case GlobalArgument::Kind::ctx: given = Register::pointer(RegType::ctx); break;
      case GlobalArgument::Kind::memory:
        given = Register::pointer(RegType::memory);
        given.range = static_cast<int32_t>(arguments[i].size);
        given.or_null = !arguments[i].not_null;
        given.id = fresh_id();
        break;
    }
  }
}

bool Analysis::explore(uint32_t subprogram) {
  enter(subprogram);
  mark_all_changed();
  for (;;) {
    if (++processed_ > kMaxVerifiedInsns) {
      return fail(E2BIG, "BPF program is too large. Processed %llu insn",
                  static_cast<unsigned long long>(processed_));
    }
    if (processed_ % kMemoryCheckEvery == 0 && !check_memory()) return false;
    bool ended = false;
    if (cfg_.prune_point[insn_] != 0) {
      const Arrival arrival = arrive();
      if (arrival == Arrival::failed) return false;
      ended = arrival == Arrival::covered;
      if (ended && logging()) log_covered();
    }
    if (!ended) {
      if (steps_since_++ >= kWaypointEvery) waypoint();
      const Step outcome = step();
      if (outcome == Step::failed) return false;
      ended = outcome == Step::path_end;
    }
    if (!ended) continue;
    end_path();
    if (!next_pending()) break;
  }
  if (!logging_paths()) {
    log_.clear();  // nothing was wrong
    log_lost_ = 0;
  }
  return true;
}

// Global subprograms that something calls, each on its own: what its callers give it does not
// matter.
bool Analysis::explore_globals() {
  for (bool found = true; found;) {
    found = false;
    for (uint32_t i = 1; i < called_.size(); i++) {
      if (called_[i] != 1) continue;
      called_[i] = 2;
      found = true;
      if (logging())
        log_ += "Validating " + infos_[i].name + "() func#" + std::to_string(i) + "...\n";
      if (!explore(i)) return false;
      if (!logging()) continue;
      log_ += "Func#" + std::to_string(i) + " ('" + infos_[i].name +
              "') is safe for any args that match its prototype\n";
    }
  }
  return true;
}

bool Analysis::check_memory() {
  const size_t bytes = pruner_.bytes() + pending_bytes_ +
                       history_.nodes.capacity() * sizeof(HistoryNode) +
                       path_nodes_.capacity() * sizeof(PathNode) + log_.capacity();
  if (bytes <= input_.memory_limit) return true;
  return fail(ENOMEM, "verification needs more than %llu bytes of memory",
              static_cast<unsigned long long>(input_.memory_limit));
}

// The next path: what was put aside last. False: none left.
bool Analysis::next_pending() {
  if (pending_.empty()) return false;
  Pending& next = pending_.back();
  state_ = std::move(next.state);
  insn_ = next.insn;
  path_ = next.path;
  path_node_ = next.node;
  parent_ = next.parent;
  marks_since_ = next.marks_since;
  steps_since_ = next.steps_since;
  pending_bytes_ -= next.bytes;
  came_from_ = next.from;
  if (!logging_paths())
    log_.resize(std::min(log_.size(), next.log_size - std::min(next.log_size, log_lost_)));
  mark_all_changed();
  pending_.pop_back();
  return true;
}

bool Analysis::push(uint32_t insn, State&& state) {
  if (pending_.size() >= kMaxPending) {
    return fail(E2BIG, "The sequence of %zu jumps is too complex.", pending_.size());
  }
  Pruner::open(parent_);
  const size_t bytes = state.bytes();
  pending_bytes_ += bytes;
  pending_.push_back({std::move(state), insn, insn_, path_, path_node_, parent_, log_end(),
                      marks_since_, steps_since_, bytes});
  return true;
}

Step Analysis::step() {
  const Insn& insn = program_->insns[insn_];
  reached_[insn_] = true;
  path_node_ = history_.add(path_node_, insn_);
  if (logging()) {
    log_insn();
    const RegisterUse use = register_use(insn);
    if (!is_exit(insn)) changed_regs_ |= use.reads | use.writes;
  }
  if (cfg_.faulty[insn_] != 0) {
    fail(EINVAL, "%s", insn_fault(input_.insns, insn_)->c_str());
    return Step::failed;
  }
  bool good = false;
  uint32_t length = 1;
  switch (insn_class(insn)) {
    case BPF_ALU:
    case BPF_ALU64: good = transfer_alu(insn); break;
    case BPF_LDX: good = transfer_load(insn); break;
    case BPF_ST:
    case BPF_STX:
      if (is_load_acquire(insn)) {
        good = transfer_load(insn);
      } else {
        good = is_atomic(insn) && !is_store_release(insn) ? transfer_atomic(insn)
                                                          : transfer_store(insn);
      }
      break;
    case BPF_JMP:
    case BPF_JMP32: return step_jump(insn);
    default:
      if (is_load_imm64(insn)) {
        reached_[insn_ + 1] = true;
        length = 2;
        good = transfer_load_imm64(insn);
      } else {
        good = transfer_packet_load(insn);
      }
      break;
  }
  if (!good) return Step::failed;
  insn_ += length;
  return Step::next;
}

Step Analysis::step_jump(const Insn& insn) {
  jumps_++;
  marks_since_++;
  if (is_exit(insn)) return leave();
  if (is_local_call(insn)) return enter_subprogram(insn) ? Step::next : Step::failed;
  if (is_call(insn)) {
    if (!transfer_helper(insn)) return Step::failed;
    insn_++;
    return Step::next;
  }
  if (is_goto(insn)) {
    insn_ = static_cast<uint32_t>(jump_target(insn, insn_));
    return Step::next;
  }
  return transfer_branch(insn);
}

bool Analysis::finish() {
  if (!check_depth()) return false;
  if (missing_body_ != nullptr) {
    insn_ = missing_body_insn_;
    return fail(EOPNOTSUPP, "helper bpf_%.*s#%u is not implemented",
                static_cast<int>(missing_body_->name.size()), missing_body_->name.data(),
                missing_body_->id);
  }
  return true;
}

VerifierResult Analysis::run() {
  const bool good = prepare() && explore(0) && explore_globals() && finish();
  VerifierResult result;
  if (good) {
    result.origins = remove_dead_code(program_.get(), reached_);
    keep_uses();
  }
  log_totals();
  result.verified_insns = processed_;
  result.log = std::move(log_);
  result.log_lost = log_lost_;
  if (good) {
    result.program = std::move(program_);
  } else {
    result.report = std::move(report_);
  }
  return result;
}

VerifierResult verify(const VerifierInput& input) { return Analysis(input).run(); }

}  // namespace sluice::bpf
