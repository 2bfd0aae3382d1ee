// Subprograms: static ones are walked into at each call, global ones verified by themselves,
// callbacks walked as often as brings something new.
#include <algorithm>
#include <cerrno>

#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kFrameRounding = 16;   // Linux counts a frame in steps of 16, and at least one
constexpr uint32_t kTailCallDepth = 256;  // of the frames above a subprogram that makes tail calls

constexpr std::string_view kSkBuffNames[] = {"__sk_buff"};
constexpr std::string_view kXdpNames[] = {"xdp_md"};
constexpr std::string_view kKprobeNames[] = {"bpf_user_pt_regs_t", "pt_regs", "user_pt_regs",
                                             "user_regs_struct"};

// The C structures that a pointer to means the program's context.
std::span<const std::string_view> ctx_names(uint32_t type) {
  switch (type) {
    case BPF_PROG_TYPE_SOCKET_FILTER:
    case BPF_PROG_TYPE_SCHED_CLS: return kSkBuffNames;
    case BPF_PROG_TYPE_XDP: return kXdpNames;
    case BPF_PROG_TYPE_KPROBE: return kKprobeNames;
    default: return {};
  }
}

}  // namespace

// The types of subprograms, where the program came with any.
bool Analysis::check_subprograms() {
  const size_t count = cfg_.subprograms.size();
  const auto& rows = input_.func_info;
  insn_ = 0;
  if (!rows.empty() && rows.size() != count) {
    return fail(EINVAL, "number of funcs in func_info doesn't match number of subprogs");
  }
  for (size_t i = 0; i < rows.size(); i++) {
    if (rows[i].insn_off != cfg_.subprograms[i].start) {
      return fail(EINVAL, "func_info BTF section doesn't match subprog layout in BPF program");
    }
    if (btf_.kind(rows[i].type_id) != BTF_KIND_FUNC) {
      return fail(EINVAL, "invalid type id %u in func info", rows[i].type_id);
    }
    infos_.push_back(subprogram_info(btf_, rows[i].type_id, ctx_names(input_.type)));
  }
  const auto& insns = input_.insns;
  for (uint32_t i = 0; i < insns.size(); i += insn_length(insns[i])) {
    const uint32_t subprogram = cfg_.subprogram_of[i];
    if (subprogram == 0) continue;
    const bool load = is_packet_load(insns[i]);
    const bool tail = is_helper_call(insns[i]) && insns[i].imm == BPF_FUNC_tail_call;
    if (!load && !tail) continue;
    insn_ = i;
    if (rows.empty())
      return fail(EINVAL, "%s is not allowed in subprogs without BTF",
                  load ? "LD_ABS" : "tail_call");
    if (!infos_[subprogram].returns_number) {
      return fail(EINVAL, "%s is only allowed in functions that return 'int'.",
                  load ? "LD_ABS" : "tail_call");
    }
  }
  return true;
}

bool Analysis::load_function(const Insn& insn) {
  if (infos_.empty()) return fail(EINVAL, "missing btf func_info");
  // The program's own copy holds the subprogram's index, so that nobody has to look for it again.
  const int64_t target = int64_t{insn_} + 1 + input_.insns[insn_].imm;
  const uint32_t subprogram = cfg_.subprogram_of[static_cast<size_t>(target)];
  if (infos_[subprogram].global) return fail(EINVAL, "callback function not static");
  program_->insns[insn_].imm = static_cast<int32_t>(subprogram);
  reg(insn.dst_reg) = Register::pointer(RegType::function);
  reg(insn.dst_reg).map_index = static_cast<int16_t>(subprogram);
  return true;
}

bool Analysis::enter_subprogram(const Insn& insn) {
  const auto target = static_cast<uint32_t>(jump_target(insn, insn_));
  const uint32_t subprogram = cfg_.subprogram_of[target];
  if (!infos_.empty() && infos_[subprogram].global) return call_global(subprogram);
  if (state_.frames.size() >= kMaxFrames) {
    return fail(E2BIG, "the call stack of %zu frames is too deep", state_.frames.size() + 1);
  }
  Frame callee;
  callee.callsite = insn_;
  callee.subprogram = subprogram;
  callee.kind = FrameKind::subprogram;
  for (uint32_t i = BPF_REG_1; i <= BPF_REG_5; i++) callee.regs[i] = reg(i);
  callee.regs[BPF_REG_10] = Register::pointer(RegType::stack);
  callee.regs[BPF_REG_10].frame = static_cast<uint8_t>(state_.frames.size());
  clobber_caller_saved();
  state_.frames.push_back(std::move(callee));
  insn_ = target;
  if (logging()) log_call();
  return true;
}

bool Analysis::check_global_argument(uint32_t regno, const GlobalArgument& argument) {
  const Register& given = reg(regno);
  switch (argument.kind) {
    case GlobalArgument::Kind::number:
      return given.is_scalar() || fail(EINVAL, "R%u is not a scalar", regno);
    case GlobalArgument::Kind::ctx:
      if (given.type != RegType::ctx) return fail_type(regno, "ctx");
      return check_unmoved(regno, given);
    case GlobalArgument::Kind::memory: break;
  }
  if (given.is_const(0)) {
    return !argument.not_null || fail(EINVAL, "arg#%u is expected to be non-NULL", regno - 1);
  }
  if (argument.not_null && given.or_null)
    return fail(EINVAL, "arg#%u is expected to be non-NULL", regno - 1);
  note_other_use(given);
  // It may be null, and the callee checks that: what counts is what it points at otherwise.
  Register present = given;
  present.or_null = false;
  std::swap(reg(regno), present);
  Call any;
  static const Helper kSubprogram = [] {
    Helper helper{};
    helper.packet_memory = true;
    return helper;
  }();
  any.helper = &kSubprogram;
  const bool good = check_memory_argument(regno, argument.size, Access::read, false, any) &&
                    check_memory_argument(regno, argument.size, Access::write, false, any);
  std::swap(reg(regno), present);
  if (!good) return false;
  any.written = {regno, argument.size};
  fill_written(any);
  return true;
}

bool Analysis::call_global(uint32_t subprogram) {
  const SubprogramInfo& info = infos_[subprogram];
  if (!info.fault.empty()) return fail(EINVAL, "%s", info.fault.c_str());
  if (state_.lock.held) {
    return fail(
        EINVAL,
        "global function calls are not allowed while holding a lock, use static function instead");
  }
  for (uint32_t i = 0; i < info.arguments.size(); i++) {
    if (!check_read(i + 1)) return false;
    if (!check_global_argument(i + 1, info.arguments[i])) return false;
  }
  if (called_[subprogram] == 0) called_[subprogram] = 1;
  clobber_caller_saved();
  reg(BPF_REG_0) = Register::unknown();
  if (cfg_.changes_packet[subprogram] != 0) forget_packet_pointers();
  if (logging()) {
    log_ += "Func#" + std::to_string(subprogram) + " ('" + info.name +
            "') is global and assumed valid.\n";
  }
  insn_++;
  return true;
}

// One more round of a callback, to be walked later; the present path goes on as if there were none.
bool Analysis::push_callback(const Call& call) {
  if (state_.frames.size() >= kMaxFrames) {
    return fail(E2BIG, "the call stack of %zu frames is too deep", state_.frames.size() + 1);
  }
  State round = state_;
  round.top().callback_depth++;
  Frame callee;
  callee.callsite = insn_;
  callee.subprogram = static_cast<uint32_t>(call.callback);
  callee.kind = FrameKind::callback;
  callback_[callee.subprogram] = 1;
  if (tail_calls_[callee.subprogram] != 0) return fail(EINVAL, "cannot tail call within callback");
  if (call.helper->id == BPF_FUNC_loop) {
    callee.regs[BPF_REG_1] = Register::unknown();
    callee.regs[BPF_REG_2] = reg(BPF_REG_3);
  } else {
    callee.regs[BPF_REG_1] = Register::pointer(RegType::const_map);
    callee.regs[BPF_REG_2] = Register::pointer(RegType::map_key);
    callee.regs[BPF_REG_3] = Register::pointer(RegType::map_value);
    for (uint32_t i = BPF_REG_1; i <= BPF_REG_3; i++)
      callee.regs[i].map_index = static_cast<int16_t>(call.map_index);
    callee.regs[BPF_REG_4] = reg(BPF_REG_3);
  }
  callee.regs[BPF_REG_10] = Register::pointer(RegType::stack);
  callee.regs[BPF_REG_10].frame = static_cast<uint8_t>(state_.frames.size());
  round.frames.push_back(std::move(callee));
  state_.top().callback_depth = 0;
  return push(cfg_.subprograms[static_cast<size_t>(call.callback)].start, std::move(round));
}

// Exit: of the program, or back to the caller.
Step Analysis::leave() {
  if (state_.frames.size() == 1) return leave_program();
  const Register result = reg(BPF_REG_0);
  if (result.type == RegType::stack) {
    fail(EINVAL, "cannot return stack pointer to the caller");
    return Step::failed;
  }
  if (state_.top().kind == FrameKind::callback) return leave_callback();
  const uint32_t back = state_.top().callsite + 1;
  const std::string callee = logging() ? frame_text(top_frame()) : "";
  came_from_ = insn_;
  state_.frames.pop_back();
  reg(BPF_REG_0) = result;
  insn_ = back;
  if (logging()) log_return(callee);
  return Step::next;
}

Step Analysis::leave_program() {
  const bool whole = entry_ == 0;
  if (!check_nothing_held(whole ? "BPF_EXIT instruction in main prog"
                                : "BPF_EXIT instruction in subprog")) {
    return Step::failed;
  }
  if (!check_read(BPF_REG_0)) return Step::failed;
  if (!whole && !reg(BPF_REG_0).is_scalar()) {
    fail(EINVAL, "At subprogram exit the register R0 is not a scalar value (%s)",
         type_name(reg(BPF_REG_0)).c_str());
    return Step::failed;
  }
  const bool session = type_->sessions && (input_.expected_attach_type == kTraceKprobeSession ||
                                           input_.expected_attach_type == kTraceUprobeSession);
  if (whole && session) {
    const Register& result = reg(BPF_REG_0);
    mark_precise(BPF_REG_0);
    if (!result.is_scalar() || result.value.wide.smin < 0 || result.value.wide.smax > 1) {
      fail(EINVAL, "At program exit the register R0 has %s should have been in [0, 1]",
           result.is_scalar() ? register_text(result, maps_, top_frame()).c_str()
                              : "unknown scalar value");
      return Step::failed;
    }
  }
  return Step::path_end;
}

// Back to the call, which decides whether there is another round.
Step Analysis::leave_callback() {
  const Register& result = reg(BPF_REG_0);
  if (!result.is_scalar()) {
    fail(EACCES, "R0 not a scalar value");
    return Step::failed;
  }
  mark_precise(BPF_REG_0);
  if (result.value.wide.smin < 0 || result.value.wide.smax > 1) {
    fail(EINVAL, "At callback return the register R0 has %s should have been in [0, 1]",
         register_text(result, maps_, top_frame()).c_str());
    return Step::failed;
  }
  const uint32_t callsite = state_.top().callsite;
  const std::string callee = logging() ? frame_text(top_frame()) : "";
  came_from_ = insn_;
  state_.frames.pop_back();
  insn_ = callsite;
  for (Checkpoint* point = parent_; point != nullptr; point = point->parent) {
    if (point->insn != callsite || point->state.frames.size() != state_.frames.size()) continue;
    widen(point->state);
    break;
  }
  if (logging()) log_return(callee);
  return Step::next;
}

// Numbers that change from round to round, and that nothing has been decided by so far, are taken
// for any.
void Analysis::widen(const State& before) {
  auto loosen = [](const Register& old, Register* now) {
    if (!old.is_scalar() || !now->is_scalar() || old.precise) return;
    if (old.value == now->value && old.id == now->id && old.offset == now->offset) return;
    *now = Register::unknown();
  };
  for (size_t f = 0; f < state_.frames.size(); f++) {
    const Frame& old = before.frames[f];
    Frame& now = state_.frames[f];
    for (uint32_t i = 0; i < kFrameRegister; i++) loosen(old.regs[i], &now.regs[i]);
    for (size_t i = 0; i < std::min(old.stack.size(), now.stack.size()); i++) {
      if (old.stack[i].holds_scalar() && now.stack[i].holds_scalar()) {
        loosen(old.stack[i].spilled, &now.stack[i].spilled);
      }
    }
  }
}

// The stack of the deepest chain of calls fits. Frames are at most kMaxFrames deep, which
// exploration has shown for static subprograms.
bool Analysis::check_depth() {
  struct Visit {
    uint32_t subprogram;
    uint32_t depth;   // bytes, its own frame included
    uint32_t frames;
  };
  auto& subprograms = program_->subprograms;
  auto rounded = [&](uint32_t index) {
    const uint32_t depth = std::max(subprograms[index].stack_depth, 1u);
    return (depth + kFrameRounding - 1) / kFrameRounding * kFrameRounding;
  };
  std::vector<uint32_t> deepest(subprograms.size(), 0);
  std::vector<Visit> work{{0, rounded(0), 1}};
  while (!work.empty()) {
    const Visit visit = work.back();
    work.pop_back();
    insn_ = subprograms[visit.subprogram].start;
    if (visit.depth > kMaxStack) {
      return fail(EACCES, "combined stack size of %u calls is %u. Too large", visit.frames,
                  visit.depth);
    }
    if (visit.frames > kMaxFrames)
      return fail(E2BIG, "the call stack of %u frames is too deep !", visit.frames);
    if (deepest[visit.subprogram] >= visit.depth * 16 + visit.frames) continue;
    deepest[visit.subprogram] = visit.depth * 16 + visit.frames;
    const uint32_t above = visit.depth - rounded(visit.subprogram);
    if (visit.subprogram != 0 && tail_calls_[visit.subprogram] != 0 && above >= kTailCallDepth) {
      return fail(
          EACCES,
          "tail_calls are not allowed when call stack of previous frames is %u bytes. Too large",
          above);
    }
    const Subprogram& sub = subprograms[visit.subprogram];
    for (uint32_t i = sub.start; i < sub.end; i += insn_length(program_->insns[i])) {
      const Insn& insn = input_.insns[i];
      const bool callback = is_load_imm64(insn) && insn.src_reg == BPF_PSEUDO_FUNC;
      if ((!is_local_call(insn) && !callback) || !reached_[i]) continue;
      const int64_t target = callback ? int64_t{i} + 1 + insn.imm : jump_target(insn, i);
      const uint32_t callee = cfg_.subprogram_of[static_cast<size_t>(target)];
      const uint32_t depth =
          type_->stack_per_frame ? rounded(callee) : visit.depth + rounded(callee);
      work.push_back({callee, depth, visit.frames + 1});
    }
  }
  return true;
}

}  // namespace sluice::bpf
