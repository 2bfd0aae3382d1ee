// Calls of helpers by their prototypes.
#include <algorithm>
#include <cerrno>

#include "bpf/isa/disasm.hpp"
#include "bpf/helpers/text.hpp"
#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

constexpr int64_t kMaxErrno = 4095;
constexpr int kNotSupported = 524;  // the kernel's ENOTSUPP, which has no name outside it

// Helpers whose result is a length or a negative errno.
bool returns_length(uint32_t id) {
  switch (id) {
    case BPF_FUNC_get_stack:
    case BPF_FUNC_get_task_stack:
    case BPF_FUNC_probe_read_str:
    case BPF_FUNC_probe_read_kernel_str:
    case BPF_FUNC_probe_read_user_str: return true;
    default: return false;
  }
}

bool changes_map(uint32_t id) {
  return id == BPF_FUNC_map_update_elem || id == BPF_FUNC_map_delete_elem ||
         id == BPF_FUNC_map_push_elem || id == BPF_FUNC_map_pop_elem;
}

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
  if (helper->sleeps && (input_.flags & BPF_F_SLEEPABLE) == 0) {
    return fail(EINVAL, "helper call might sleep in a non-sleepable prog");
  }
  if (state_.lock.held && id != BPF_FUNC_spin_unlock) {
    return fail(EINVAL, "function calls are not allowed while holding a lock");
  }
  return true;
}

bool Analysis::check_map_helper(const Helper& helper, int32_t map_index) {
  if (map_index < 0) return true;
  const MapSpec& spec = map_spec(map_index);
  if (changes_map(helper.id) && is_read_only(spec)) return fail(EACCES, "write into map forbidden");
  if (map_allows(spec.type, helper.id)) return true;
  if (helper.id == BPF_FUNC_tail_call) return fail(EINVAL, "expected prog array map for tail call");
  const std::string name(helper.name);
  return fail(EINVAL, "cannot pass map_type %u into func bpf_%s#%u", spec.type, name.c_str(),
              helper.id);
}

// What a prototype does not say of some calls.
bool Analysis::check_special_call(const Insn& insn, Call* call) {
  switch (call->helper->id) {
    case BPF_FUNC_tail_call: {
      if (!check_nothing_held("tail_call")) return false;
      const uint32_t subprogram = state_.top().subprogram;
      if (callback_[subprogram] != 0) return fail(EINVAL, "cannot tail call within callback");
      tail_calls_[subprogram] = 1;
      if (reg(BPF_REG_3).is_scalar() && reg(BPF_REG_3).value.is_const()) mark_precise(BPF_REG_3);
      return true;
    }
    case BPF_FUNC_loop:
      // How often it has been followed is compared with how often it may run.
      mark_precise(BPF_REG_1);
      if (reg(BPF_REG_4).is_const(0)) mark_precise(BPF_REG_4);
      if (reg(BPF_REG_1).is_scalar() &&
          state_.top().callback_depth >= reg(BPF_REG_1).value.wide.umax) {
        state_.top().callback_depth = 0;
        return true;
      }
      return push_callback(*call);
    case BPF_FUNC_for_each_map_elem:
      switch (map_spec(call->map_index).type) {
        case BPF_MAP_TYPE_HASH:
        case BPF_MAP_TYPE_PERCPU_HASH:
        case BPF_MAP_TYPE_LRU_HASH:
        case BPF_MAP_TYPE_LRU_PERCPU_HASH:
        case BPF_MAP_TYPE_ARRAY:
        case BPF_MAP_TYPE_PERCPU_ARRAY: return push_callback(*call);
        default: return fail(EINVAL, "callback function not allowed for map");
      }
    case BPF_FUNC_get_func_ip:
      if (input_.type == BPF_PROG_TYPE_KPROBE) return true;
      return fail(kNotSupported, "func bpf_get_func_ip#%d not supported for program type %u",
                  insn.imm, input_.type);
    case BPF_FUNC_snprintf: {
      const uint64_t size = reg(BPF_REG_5).value.bits.value;
      if (size % 8 == 0 &&
          is_format(constant_text(reg(BPF_REG_3)), static_cast<uint32_t>(size / 8)))
        return true;
      return fail(EINVAL, "Invalid format string");
    }
    default:
      if (call->callback < 0) return true;
      return fail(EOPNOTSUPP, "callbacks of %s are not supported", disassemble(&insn).c_str());
  }
}

// Never one of the program's own maps: an inner map looks like the template, it is another.
int16_t Analysis::inner_map(int32_t index) {
  const Map* inner = map_spec(index).inner.get();
  if (inner == nullptr) return -1;
  const auto own = static_cast<std::ptrdiff_t>(input_.maps.size());
  const auto found = std::find(maps_.begin() + own, maps_.end(), inner);
  if (found != maps_.end()) return static_cast<int16_t>(found - maps_.begin());
  maps_.push_back(inner);
  return static_cast<int16_t>(maps_.size() - 1);
}

void Analysis::give_reference(RegType type) {
  Register& result = reg(BPF_REG_0);
  result = Register::pointer(type);
  result.or_null = true;
  fresh_id();  // Linux's reference is not the pointer's first id
  result.id = acquire();
  result.reference = result.id;
}

// R0 after the call.
bool Analysis::give_result(const Call& call) {
  Register& result = reg(BPF_REG_0);
  auto pointer_or_null = [&](RegType type) {
    result = Register::pointer(type);
    result.or_null = true;
    result.id = fresh_id();
  };
  const uint32_t id = call.helper->id;
  switch (call.helper->returns) {
    case Ret::void_: return true;
    case Ret::integer: {
      Scalar value = Scalar::unknown();
      if (returns_length(id)) {
        value.wide.smin = -kMaxErrno;
        value.wide.smax = static_cast<int64_t>(call.size_max);
        value.low.smin = -static_cast<int32_t>(kMaxErrno);
        value.low.smax = static_cast<int32_t>(call.size_max);
        value.sync();
      } else if (id == BPF_FUNC_get_smp_processor_id && input_.possible_cpus != 0) {
        const uint64_t most = input_.possible_cpus - 1;
        value.wide = {0, most, 0, static_cast<int64_t>(most)};
        value.low = {0, static_cast<uint32_t>(most), 0, static_cast<int32_t>(most)};
        value.sync();
      }
      result = Register::scalar(value);
      return true;
    }
    case Ret::map_value_or_null:
      if (call.map_index < 0) return fail(EINVAL, "kernel subsystem misconfigured verifier");
      pointer_or_null(RegType::map_value);
      result.map_index = static_cast<int16_t>(call.map_index);
      if (id == BPF_FUNC_map_lookup_elem && call.constant_key >= 0) {
        result.or_null = false;
        if (map_spec(call.map_index).spin_lock_offset < 0) result.id = 0;
      }
      return true;
    case Ret::alloc_mem_or_null:
      give_reference(RegType::memory);
      result.record = true;
      result.range = static_cast<int32_t>(call.alloc_size);
      return true;
    case Ret::socket_or_null:
      if (id == BPF_FUNC_sk_fullsock || id == BPF_FUNC_get_listener_sock) {
        pointer_or_null(RegType::socket);
      } else {
        give_reference(RegType::socket);
      }
      return true;
    case Ret::tcp_sock_or_null: pointer_or_null(RegType::tcp_sock); return true;
    case Ret::sock_common_or_null: give_reference(RegType::sock_common); return true;
    case Ret::btf_or_null: pointer_or_null(RegType::btf); return true;
    case Ret::btf: result = Register::pointer(RegType::btf); return true;
    case Ret::dynptr_mem_or_null: return fail(EOPNOTSUPP, "dynptrs are not supported");
  }
  return true;
}

bool Analysis::transfer_helper(const Insn& insn) {
  const auto id = static_cast<uint32_t>(insn.imm);
  if (!is_helper_call(insn)) return fail(EINVAL, "calling kernel functions is not allowed");
  Call call;
  call.helper = find_helper(id);
  if (!check_helper_allowed(call.helper, id)) return false;
  for (uint32_t i = 0; i < 5 && call.helper->arguments[i] != Arg::none; i++) {
    if (!check_argument(i, &call)) return false;
  }
  if (id == BPF_FUNC_trace_printk) {  // what is printed follows the declared arguments
    for (uint32_t i = BPF_REG_3; i <= BPF_REG_5; i++) note_other_use(reg(i));
  }
  if (!check_map_helper(*call.helper, call.map_index)) return false;
  if (call.helper->body == nullptr && missing_body_ == nullptr) {
    missing_body_ = call.helper;
    missing_body_insn_ = insn_;
  }
  note_call(call);
  fill_written(call);
  if (call.released != 0 && !release(call.released)) return false;
  if (!check_special_call(insn, &call)) return false;
  clobber_caller_saved();
  if (!give_result(call)) return false;
  if (call.helper->changes_packet) forget_packet_pointers();
  return true;
}

}  // namespace sluice::bpf
