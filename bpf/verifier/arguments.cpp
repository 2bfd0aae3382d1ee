// The arguments of a helper call, each by its kind.
#include <algorithm>
#include <cerrno>

#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

constexpr const char* kMemoryTypes =
    "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_";
constexpr const char* kSockets = "sock_common, sock, tcp_sock, xdp_sock";
constexpr const char* kBtfSockets = "sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_";

bool is_memory(const Register& reg) {
  if (reg.or_null) return false;
  switch (reg.type) {
    case RegType::stack:
    case RegType::packet:
    case RegType::packet_meta:
    case RegType::map_key:
    case RegType::map_value:
    case RegType::memory: return true;
    default: return false;
  }
}

bool is_socket(const Register& reg) {
  if (reg.or_null) return false;
  return reg.type == RegType::socket || reg.type == RegType::sock_common ||
         reg.type == RegType::tcp_sock;
}

bool may_be_null(Arg kind) {
  switch (kind) {
    case Arg::ctx_or_null:
    case Arg::map_value_or_null:
    case Arg::mem_or_null:
    case Arg::write_mem_or_null:
    case Arg::stack_or_null: return true;
    default: return false;
  }
}

}  // namespace

bool Analysis::fail_type(uint32_t regno, const char* expected) {
  return fail(EACCES, "R%u type=%s expected=%s", regno, type_name(reg(regno)).c_str(), expected);
}

// The register is of a type that the kind takes.
bool Analysis::check_argument_type(uint32_t index, const Call& call) {
  const uint32_t regno = index + 1;
  const Register& given = reg(regno);
  const Arg kind = call.helper->arguments[index];
  switch (kind) {
    case Arg::ctx:
    case Arg::ctx_or_null:
    case Arg::sched_cls_ctx:
      return (given.type == RegType::ctx || fail_type(regno, "ctx")) && check_unmoved(regno, given);
    case Arg::const_map:
      return (given.type == RegType::const_map && !given.or_null) || fail_type(regno, "map_ptr");
    case Arg::size:
    case Arg::size_or_zero:
    case Arg::alloc_size: return given.is_scalar() || fail_type(regno, "scalar");
    case Arg::alloc_mem:
      if (given.type != RegType::memory || !given.record || given.or_null)
        return fail_type(regno, "ringbuf_mem");
      if (given.offset == 0 && given.value.is_const() && given.value.value() == 0) return true;
      return fail(EINVAL,
                  "R%u must have zero offset when passed to release func or trusted arg to kfunc",
                  regno);
    case Arg::callback:
      return (given.type == RegType::function || fail_type(regno, "func")) &&
             check_unmoved(regno, given);
    case Arg::stack_or_null: return given.type == RegType::stack || fail_type(regno, "fp");
    case Arg::spin_lock:
      return (given.type == RegType::map_value && !given.or_null) ||
             fail_type(regno, "map_value, ptr_");
    case Arg::timer:
    case Arg::kptr:
    case Arg::const_str:
      return (given.type == RegType::map_value && !given.or_null) || fail_type(regno, "map_value");
    case Arg::dynptr:
    case Arg::uninit_dynptr:
      return given.type == RegType::stack || fail_type(regno, "fp, dynptr_ptr");
    case Arg::sock_common: return is_socket(given) || fail_type(regno, kSockets);
    case Arg::btf_sock:
      return is_socket(given) || (given.type == RegType::btf && !given.or_null) ||
             fail_type(regno, kBtfSockets);
    case Arg::btf_task:
      return (given.type == RegType::btf && !given.or_null) ||
             fail_type(regno, "ptr_, trusted_ptr_, rcu_ptr_");
    case Arg::btf_percpu:
      return fail_type(regno, "percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_");
    default: return is_memory(given) || fail_type(regno, kMemoryTypes);
  }
}

bool Analysis::check_argument(uint32_t index, Call* call) {
  const uint32_t regno = index + 1;
  const Arg kind = call->helper->arguments[index];
  if (kind == Arg::sched_cls_ctx && input_.type != BPF_PROG_TYPE_SCHED_CLS) return true;
  if (!check_read(regno)) return false;
  Register& given = reg(regno);
  if (kind != Arg::const_map || call->helper->id != BPF_FUNC_map_lookup_elem) note_other_use(given);
  if (kind == Arg::anything) return true;
  const bool null = given.is_const(0) && may_be_null(kind);
  if (!null && !check_argument_type(index, *call)) return false;
  switch (kind) {
    case Arg::const_map:
      call->map_index = given.map_index;
      note_map(given.map_index);
      return true;
    case Arg::map_key:
    case Arg::map_value:
    case Arg::map_value_or_null:
    case Arg::uninit_map_value: return null || check_map_argument(index, call);
    case Arg::size:
    case Arg::size_or_zero: return check_size_argument(index, call);
    case Arg::alloc_size:
      if (!given.value.is_const()) return fail(EACCES, "R%u is not a known constant'", regno);
      if (given.value.value() >= static_cast<uint64_t>(kMaxVariableOffset)) {
        return fail(EACCES, "R%u unbounded memory access, use 'var &= const' or 'if (var < const)'",
                    regno);
      }
      call->alloc_size = given.value.value();
      mark_precise(regno);
      return true;
    case Arg::long_out: return check_fixed_argument(regno, 8, true, true, call);
    case Arg::int_in_out: return check_fixed_argument(regno, 4, true, true, call);
    case Arg::ipv4_header:
    case Arg::tcp_header: return check_fixed_argument(regno, 20, false, false, call);
    case Arg::ipv6_header: return check_fixed_argument(regno, 40, false, false, call);
    case Arg::alloc_mem: call->released = given.reference; return true;
    case Arg::callback: call->callback = given.map_index; return true;
    case Arg::spin_lock: return lock_or_unlock(regno, call->helper->id == BPF_FUNC_spin_lock);
    case Arg::const_str: return check_const_string(regno);
    case Arg::timer:
    case Arg::kptr:
    case Arg::dynptr:
    case Arg::uninit_dynptr:
      return fail(EOPNOTSUPP, "bpf_%s: timers, kptrs and dynptrs are not supported",
                  std::string(call->helper->name).c_str());
    case Arg::btf_sock:
      if (call->helper->id == BPF_FUNC_sk_release) call->released = given.reference;
      return true;
    default: return true;  // memory is checked with its size, which is the next argument
  }
}

bool Analysis::check_map_argument(uint32_t index, Call* call) {
  const uint32_t regno = index + 1;
  if (call->map_index < 0) return fail(EACCES, "invalid map_ptr to access map->key");
  const MapSpec& spec = map_spec(call->map_index);
  const Arg kind = call->helper->arguments[index];
  // A bloom filter's value is only read.
  const bool peeks_bloom = spec.type == BPF_MAP_TYPE_BLOOM_FILTER;
  const bool fills = kind == Arg::uninit_map_value && !peeks_bloom;
  const uint32_t size = kind == Arg::map_key ? spec.key_size : spec.value_size;
  if (!check_memory_argument(regno, size, fills ? Access::write : Access::read, false, *call))
    return false;
  note_argument(index, reg(regno), size);
  if (fills) call->written = {regno, size};
  const bool array = spec.type == BPF_MAP_TYPE_ARRAY || spec.type == BPF_MAP_TYPE_PERCPU_ARRAY;
  uint64_t key = 0;
  if (kind == Arg::map_key && array && constant_key(reg(regno), size, &key) &&
      key < spec.max_entries) {
    call->constant_key = static_cast<int64_t>(key);
  }
  return true;
}

bool Analysis::check_fixed_argument(uint32_t regno, uint32_t size, bool written, bool aligned,
                                    Call* call) {
  if (!check_memory_argument(regno, size, written ? Access::write : Access::read, false, *call))
    return false;
  if (aligned && !check_alignment(reg(regno), 0, size, true)) return false;
  note_argument(regno - 1, reg(regno), size);
  if (written) call->written = {regno, size};
  return true;
}

// A size argument; its memory is the argument before it.
bool Analysis::check_size_argument(uint32_t index, Call* call) {
  const uint32_t regno = index + 1;
  const Range64 range = reg(regno).value.wide;
  const bool zero_allowed = call->helper->arguments[index] == Arg::size_or_zero;
  call->size_max = range.umax;
  if (range.smin < 0) {
    return fail(EACCES, "R%u min value is negative, either use unsigned or 'var &= const'", regno);
  }
  if (range.umin == 0 && !zero_allowed) {
    return fail(EACCES, "R%u invalid zero-sized read: u64=[%llu,%llu]", regno,
                static_cast<unsigned long long>(range.umin),
                static_cast<unsigned long long>(range.umax));
  }
  if (range.umax >= static_cast<uint64_t>(kMaxVariableOffset)) {
    return fail(EACCES, "R%u unbounded memory access, use 'var &= const' or 'if (var < const)'",
                regno);
  }
  const uint32_t memory = regno - 1;
  const auto size = static_cast<uint32_t>(range.umax);
  const Arg kind = call->helper->arguments[index - 1];
  const bool fills = kind == Arg::uninit_mem;
  const bool writes = fills || kind == Arg::write_mem || kind == Arg::write_mem_or_null;
  if (!check_memory_argument(memory, size, writes ? Access::write : Access::read, zero_allowed,
                             *call))
    return false;
  mark_precise(regno);
  note_argument(memory - 1, reg(memory), size);
  if (writes) call->written = {memory, size};
  return true;
}

bool Analysis::check_memory_argument(uint32_t regno, uint32_t size, Access access,
                                     bool zero_allowed, const Call& call) {
  const Register& pointer = reg(regno);
  // Nothing is read from nowhere.
  if (zero_allowed && size == 0 && pointer.is_const(0)) return true;
  if (pointer.or_null) return fail_type(regno, "fp");
  if (size == 0 && !zero_allowed) return fail(EACCES, "invalid zero-sized read");
  switch (pointer.type) {
    case RegType::stack: return check_stack_argument(regno, size, access);
    case RegType::map_value: return check_map_value(regno, pointer, 0, size, access);
    case RegType::map_key:
      if (access == Access::write) return fail(EACCES, "R%u cannot write into map_key", regno);
      return check_region(regno, pointer, 0, size, map_spec(pointer.map_index).key_size);
    case RegType::memory:
      return check_region(regno, pointer, 0, size, static_cast<uint32_t>(pointer.range));
    case RegType::packet:
    case RegType::packet_meta:
      if (!call.helper->packet_memory)
        return fail(EACCES, "helper access to the packet is not allowed");
      return check_packet(regno, pointer, 0, size);
    default: return fail_type(regno, "fp");
  }
}

bool Analysis::check_stack_argument(uint32_t regno, uint32_t size, Access access) {
  const Register& pointer = reg(regno);
  const Range64& range = pointer.value.wide;
  const bool bounded = range.smin > -kMaxVariableOffset && range.smax < kMaxVariableOffset;
  if (!bounded)
    return fail(EACCES, "invalid unbounded variable-offset indirect access to stack R%u", regno);
  const int64_t low = pointer.offset + range.smin;
  const int64_t high = pointer.offset + range.smax + size;
  if (low < -static_cast<int64_t>(kMaxStack) || high > 0 || low >= 0) {
    const int code = low < -static_cast<int64_t>(kMaxStack) || low >= 0 ? EACCES : EINVAL;
    return fail(code, "invalid %s stack R%u off=%lld size=%u",
                access == Access::read ? "read from" : "write to", regno,
                static_cast<long long>(low), size);
  }
  if (size == 0) return true;
  use_stack(pointer, low);
  note_given_stack(pointer.frame, static_cast<int32_t>(low), static_cast<int32_t>(high));
  mark_bytes_read(pointer.frame, static_cast<int32_t>(low), static_cast<int32_t>(high));
  return true;
}

// What the helper filled holds numbers that nothing is known of.
void Analysis::fill_written(const Call& call) {
  if (call.written.size == 0) return;
  const Register& pointer = reg(call.written.reg);
  if (pointer.type != RegType::stack) return;
  const auto low = static_cast<int32_t>(pointer.offset + pointer.value.wide.smin);
  const auto high =
      static_cast<int32_t>(pointer.offset + pointer.value.wide.smax + call.written.size);
  smudge_stack(pointer.frame, low, high);
  if (!pointer.value.is_const()) return;
  for (int32_t at = (low + 7) / 8 * 8; at + 8 <= high; at += 8) {
    state_.frames[pointer.frame].written |= 1ull << Frame::slot_index(at);
  }
}

// Text that nobody can change any more, ended by a zero.
bool Analysis::check_const_string(uint32_t regno) {
  const Register& given = reg(regno);
  const auto index = static_cast<size_t>(given.map_index);
  const MapSpec& spec = map_spec(given.map_index);
  const bool frozen = index < input_.frozen.size() && input_.frozen[index] != 0;
  if ((spec.flags & BPF_F_RDONLY_PROG) == 0 || !frozen) {
    return fail(EACCES, "R%u does not point to a readonly map'", regno);
  }
  if (!given.value.is_const()) return fail(EACCES, "R%u is not a constant address'", regno);
  if (spec.type != BPF_MAP_TYPE_ARRAY)
    return fail(EACCES, "no direct value access support for this map type");
  const int64_t at = given.offset + static_cast<int64_t>(given.value.value());
  if (at < 0 || at >= spec.value_size) {
    return fail(EACCES, "invalid access to map value, value_size=%u off=%lld size=%u",
                spec.value_size, static_cast<long long>(at), 1u);
  }
  const char* text = constant_text(given);
  const auto room = static_cast<size_t>(spec.value_size - at);
  if (std::find(text, text + room, 0) != text + room) return true;
  return fail(EINVAL, "string is not zero-terminated");
}

// Of a register that check_const_string has found good.
const char* Analysis::constant_text(const Register& pointer) const {
  const uint8_t* values = maps_[static_cast<size_t>(pointer.map_index)]->core().values;
  return reinterpret_cast<const char*>(values) + pointer.offset +
         static_cast<int64_t>(pointer.value.value());
}

}  // namespace sluice::bpf
