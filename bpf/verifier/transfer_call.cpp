// Calls: helpers by their prototypes, subprograms by walking into them with a frame of their own.
#include <cerrno>

#include "bpf/isa/disasm.hpp"
#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

constexpr int64_t kMaxVariableSize = 1 << 29;  // Linux: BPF_MAX_VAR_SIZ
constexpr uint32_t kFrameRounding = 16;        // Linux counts a frame in steps of 16, and at least one

}  // namespace

void Analysis::clobber_caller_saved() {
  for (uint32_t i = 0; i <= BPF_REG_5; i++) reg(i) = Register{};
}

bool Analysis::check_helper_allowed(const Helper* helper, uint32_t id) {
  if (id >= kHelperIds) return fail(EINVAL, "invalid func unknown#%u", id);
  if (helper == nullptr) return fail(EINVAL, "unknown func bpf_%s#%u", helper_name(id), id);
  const std::string name(helper->name);
  if (!may_call(*type_, id)) return fail(EINVAL, "unknown func bpf_%s#%u", name.c_str(), id);
  if (helper->gpl_only && !input_.gpl_compatible) {
    return fail(EINVAL, "cannot call GPL-restricted function from non-GPL compatible program");
  }
  return true;
}

bool Analysis::check_memory_argument(uint32_t regno, uint32_t size, Access access) {
  const Register& pointer = reg(regno);
  if (pointer.type == RegType::map_value) {
    return check_map_value(regno, pointer, 0, size, access);
  }
  if (pointer.type != RegType::stack) {
    return fail(EACCES, "R%u type=%s expected=fp, map_value", regno, type_name(pointer.type));
  }
  const Range64& range = pointer.value.wide;
  const bool bounded = range.smin > -kMaxVariableSize && range.smax < kMaxVariableSize;
  if (!bounded) return fail(EACCES, "invalid unbounded variable-offset indirect access to stack R%u", regno);
  const int64_t low = pointer.offset + range.smin;
  const int64_t high = pointer.offset + range.smax + size;
  if (low < -static_cast<int64_t>(kMaxStack) || high > 0 || low >= 0) {
    const int code = low < -static_cast<int64_t>(kMaxStack) || low >= 0 ? EACCES : EINVAL;
    return fail(code, "invalid %s stack R%u off=%lld size=%u", access == Access::read ? "read from" : "write to", regno,
                static_cast<long long>(low), size);
  }
  use_stack(pointer, low);
  return true;
}

// What a helper wrote into the memory at a register.
void Analysis::smudge_argument(uint32_t regno, uint32_t size) {
  const Register& pointer = reg(regno);
  if (pointer.type != RegType::stack) return;
  const auto low = static_cast<int32_t>(pointer.offset + pointer.value.wide.smin);
  const auto high = static_cast<int32_t>(pointer.offset + pointer.value.wide.smax + size);
  smudge_stack(pointer.frame, low, high, false);
}

// A size argument; its memory is the argument before it.
bool Analysis::check_size_argument(const Helper& helper, uint32_t index) {
  const uint32_t regno = index + 1;
  if (!reg(regno).is_scalar()) return fail(EACCES, "R%u type=%s expected=scalar", regno, type_name(reg(regno).type));
  const Range64& range = reg(regno).value.wide;
  const bool may_be_zero = helper.arguments[index] == Arg::size_or_zero;
  if (range.smin < 0) {
    return fail(EACCES, "R%u min value is negative, either use unsigned or 'var &= const'", regno);
  }
  if (range.umin == 0 && !may_be_zero) {
    return fail(EACCES, "R%u invalid zero-sized read: u64=[%llu,%llu]", regno, static_cast<unsigned long long>(range.umin),
                static_cast<unsigned long long>(range.umax));
  }
  if (range.umax >= static_cast<uint64_t>(kMaxVariableSize)) {
    return fail(EACCES, "R%u unbounded memory access, use 'var &= const' or 'if (var < const)'", regno);
  }
  const uint32_t memory = regno - 1;
  const Arg kind = helper.arguments[index - 1];
  const auto size = static_cast<uint32_t>(range.umax);
  if (reg(memory).is_const(0) && (kind == Arg::mem_or_null || (may_be_zero && size == 0))) {
    if (size == 0) return true;
  }
  const Access access = kind == Arg::uninit_mem ? Access::write : Access::read;
  if (!check_memory_argument(memory, size, access)) return false;
  note_argument(memory - 1, reg(memory), size);
  if (access == Access::write) smudge_argument(memory, size);
  return true;
}

bool Analysis::check_argument(const Helper& helper, uint32_t index, int32_t* map_index) {
  const uint32_t regno = index + 1;
  if (!check_read(regno)) return false;
  const Register& given = reg(regno);
  switch (helper.arguments[index]) {
    case Arg::ctx:
      if (given.type != RegType::ctx) return fail(EACCES, "R%u type=%s expected=ctx", regno, type_name(given.type));
      return check_ctx_pointer(regno, given);
    case Arg::const_map:
      if (given.type != RegType::const_map) {
        return fail(EACCES, "R%u type=%s expected=map_ptr", regno, type_name(given.type));
      }
      *map_index = given.map_index;
      note_map(given.map_index);
      return true;
    case Arg::map_key:
    case Arg::map_value: {
      if (*map_index < 0) return fail(EACCES, "invalid map_ptr to access map->key");
      const MapSpec& spec = input_.maps[static_cast<size_t>(*map_index)]->spec();
      const uint32_t size = helper.arguments[index] == Arg::map_key ? spec.key_size : spec.value_size;
      if (!check_memory_argument(regno, size, Access::read)) return false;
      note_argument(index, given, size);
      return true;
    }
    case Arg::size:
    case Arg::size_or_zero: return check_size_argument(helper, index);
    case Arg::anything:
    case Arg::mem:
    case Arg::mem_or_null:
    case Arg::uninit_mem: return true;  // checked with their size
    default: return fail(EOPNOTSUPP, "an argument of bpf_%s is not supported", std::string(helper.name).c_str());
  }
}

bool Analysis::transfer_helper(const Insn& insn) {
  const auto id = static_cast<uint32_t>(insn.imm);
  if (!is_helper_call(insn)) return fail(EINVAL, "calling kernel functions is not allowed");
  const Helper* helper = find_helper(id);
  if (!check_helper_allowed(helper, id)) return false;
  int32_t map_index = -1;
  for (uint32_t i = 0; i < 5 && helper->arguments[i] != Arg::none; i++) {
    if (!check_argument(*helper, i, &map_index)) return false;
  }
  const bool changes = id == BPF_FUNC_map_update_elem || id == BPF_FUNC_map_delete_elem;
  if (changes && map_index >= 0) {
    const Map& map = *input_.maps[static_cast<size_t>(map_index)];
    if ((map.spec().flags & BPF_F_RDONLY_PROG) != 0) return fail(EACCES, "write into map forbidden");
  }
  if (helper->body == nullptr && missing_body_ == nullptr) {
    missing_body_ = helper;
    missing_body_insn_ = insn_;
  }
  clobber_caller_saved();
  switch (helper->returns) {
    case Ret::integer: reg(BPF_REG_0) = Register::unknown(); break;
    case Ret::void_: break;
    case Ret::map_value_or_null:
      reg(BPF_REG_0) = Register::pointer(RegType::map_value_or_null);
      reg(BPF_REG_0).map_index = static_cast<int16_t>(map_index);
      reg(BPF_REG_0).id = fresh_id();
      break;
    default: return fail(EOPNOTSUPP, "the result of bpf_%s is not supported", std::string(helper->name).c_str());
  }
  return true;
}

bool Analysis::enter_subprogram(const Insn& insn) {
  if (state_.frames.size() >= kMaxFrames) {
    return fail(E2BIG, "the call stack of %zu frames is too deep", state_.frames.size() + 1);
  }
  const auto target = static_cast<uint32_t>(jump_target(insn, insn_));
  Frame callee;
  callee.callsite = insn_;
  callee.subprogram = cfg_.subprogram_of[target];
  for (uint32_t i = BPF_REG_1; i <= BPF_REG_5; i++) callee.regs[i] = reg(i);
  callee.regs[BPF_REG_10] = Register::pointer(RegType::stack);
  callee.regs[BPF_REG_10].frame = static_cast<uint8_t>(state_.frames.size());
  clobber_caller_saved();
  state_.frames.push_back(std::move(callee));
  if (input_.log_level != 0) log_ += "caller:\ncallee:\n";
  insn_ = target;
  return true;
}

// Exit: of the program, or back to the caller.
Step Analysis::leave(const Insn& insn) {
  (void)insn;
  if (state_.frames.size() == 1) {
    if (!check_read(BPF_REG_0)) return Step::failed;
    if (input_.log_level != 0) log_ += "\n";
    return Step::path_end;
  }
  const Register result = reg(BPF_REG_0);
  if (result.type == RegType::stack) {
    fail(EINVAL, "cannot return stack pointer to the caller");
    return Step::failed;
  }
  const uint32_t back = state_.top().callsite + 1;
  state_.frames.pop_back();
  reg(BPF_REG_0) = result;
  if (input_.log_level != 0) log_ += "returning from callee:\nto caller:\n";
  insn_ = back;
  return Step::next;
}

// The stack of the deepest chain of calls fits. Frames are at most kMaxFrames deep, which exploration has shown.
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
    if (visit.depth > kMaxStack) {
      insn_ = subprograms[visit.subprogram].start;
      return fail(EACCES, "combined stack size of %u calls is %u. Too large", visit.frames, visit.depth);
    }
    if (visit.frames > kMaxFrames) return fail(E2BIG, "the call stack of %u frames is too deep !", visit.frames);
    if (deepest[visit.subprogram] >= visit.depth * 16 + visit.frames) continue;
    deepest[visit.subprogram] = visit.depth * 16 + visit.frames;
    const Subprogram& sub = subprograms[visit.subprogram];
    for (uint32_t i = sub.start; i < sub.end; i += insn_length(program_->insns[i])) {
      if (!is_local_call(program_->insns[i]) || !program_->facts[i].reachable) continue;
      const uint32_t callee = cfg_.subprogram_of[jump_target(program_->insns[i], i)];
      work.push_back({callee, visit.depth + rounded(callee), visit.frames + 1});
    }
  }
  return true;
}

}  // namespace sluice::bpf
