// Loads, stores and atomics, and the loads of constants and packet bytes.
#include <cerrno>

#include "bpf/isa/opcode_new.hpp"
#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
bool Analysis::check_alignment(const Register& pointer, int32_t offset, uint32_t size,
                               bool atomic) {
  const bool strict =
      atomic || pointer.type == RegType::stack ||
      ((input_.flags & BPF_F_STRICT_ALIGNMENT) != 0 && (input_.flags & BPF_F_ANY_ALIGNMENT) == 0);
  if (!strict || size == 1) return true;
  // A packet's Ethernet header begins 2 bytes beyond a multiple of 4, so that the IP header is
  // aligned.
  const int32_t shift = pointer.is_packet() ? 2 : 0;
  const auto fixed = static_cast<uint64_t>(int64_t{pointer.offset} + offset + shift);
  if (tnum_add(pointer.value.bits, tnum_const(fixed)).is_aligned(size)) return true;
  if (pointer.is_packet()) {
    return fail(EACCES, "misaligned packet access off %d+%s+%d+%d size %u", shift,
                tnum_text(pointer.value.bits).c_str(), pointer.offset, offset, size);
  }
  const char* what = pointer.type == RegType::stack       ? "stack "
                     : pointer.type == RegType::map_value ? "value "
                                                          : "";
  return fail(EACCES, "misaligned %saccess off %s+%d+%d size %u", what,
              tnum_text(pointer.value.bits).c_str(), pointer.offset, offset, size);
}

bool Analysis::check_unmoved(uint32_t regno, const Register& pointer) {
  const std::string text = type_name(pointer);
  const char* name = text.c_str();
  if (!pointer.value.is_const()) {
    return fail(EACCES, "variable %s access var_off=%s disallowed", name,
                tnum_text(pointer.value.bits).c_str());
  }
  const int64_t moved = pointer.offset + static_cast<int64_t>(pointer.value.value());
  if (moved < 0)
    return fail(EACCES, "negative offset %s ptr R%u off=%d disallowed", name, regno,
                pointer.offset);
  if (moved == 0) return true;
  return fail(EACCES, "dereference of modified %s ptr R%u off=%d disallowed", name, regno,
              pointer.offset);
}

bool Analysis::check_ctx(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size,
                         Access access) {
  if (!check_unmoved(regno, pointer)) return false;
  const CtxField* field =
      offset < 0 ? nullptr : find_ctx_field(*type_, static_cast<uint32_t>(offset), size);
  bool good = field != nullptr && offset % static_cast<int32_t>(size) == 0;
  if (good) good = ((access == Access::read ? field->reads : field->writes) & size) != 0;
  if (!good) return fail(EACCES, "invalid bpf_context access off=%d size=%u", offset, size);
  note_access(Region::ctx, offset, 0, -1, true);
  return true;
}

// which: the end of the pointer's range that is not in the region.
bool Analysis::fail_region(uint32_t regno, const Register& pointer, int64_t offset, uint32_t size,
                           uint32_t limit, const char* which) {
  const char* what = pointer.type == RegType::map_key     ? "map key, key_size"
                     : pointer.type == RegType::map_value ? "map value, value_size"
                                                          : "memory, mem_size";
  return fail(EACCES,
              "invalid access to %s=%u off=%lld size=%u\n"
              "R%u %s value is outside of the allowed memory range",
              what, limit, static_cast<long long>(offset), size, regno, which);
}

bool Analysis::check_region(uint32_t regno, const Register& pointer, int64_t offset, uint32_t size,
                            uint32_t limit) {
  const int64_t total = pointer.offset + offset;
  const Range64& range = pointer.value.wide;
  const int64_t low = range.smin + total;
  if (range.smin < 0 && (range.smin == INT64_MIN || low < 0)) {
    return fail(
        EACCES,
        "R%u min value is negative, either use unsigned index or do a if (index >=0) check.",
        regno);
  }
  auto fits = [limit, size](int64_t at) { return at >= 0 && at + size <= int64_t{limit}; };
  if (low > kMaxVariableOffset * 4 || !fits(low))
    return fail_region(regno, pointer, low, size, limit, "min");
  if (range.umax >= static_cast<uint64_t>(kMaxVariableOffset)) {
    return fail(EACCES, "R%u unbounded memory access, make sure to bounds check any such access",
                regno);
  }
  const int64_t high = static_cast<int64_t>(range.umax) + total;
  return fits(high) || fail_region(regno, pointer, high, size, limit, "max");
}

bool Analysis::check_map_value(uint32_t regno, const Register& pointer, int64_t offset,
                               uint32_t size, Access access) {
  const MapSpec& spec = map_spec(pointer.map_index);
  const auto total = static_cast<long long>(pointer.offset + offset);
  if (access == Access::write && is_read_only(spec)) {
    return fail(EACCES, "write into map forbidden, value_size=%u off=%lld size=%u", spec.value_size,
                total, size);
  }
  if (access == Access::read && (spec.flags & BPF_F_WRONLY_PROG) != 0) {
    return fail(EACCES, "read from map forbidden, value_size=%u off=%lld size=%u", spec.value_size,
                total, size);
  }
  if (!check_region(regno, pointer, offset, size, spec.value_size)) return false;
  if (spec.spin_lock_offset < 0) return true;
  const int64_t low = pointer.value.wide.smin + total;
  const int64_t high = static_cast<int64_t>(pointer.value.wide.umax) + total + size;
  if (low < spec.spin_lock_offset + static_cast<int64_t>(sizeof(bpf_spin_lock)) &&
      spec.spin_lock_offset < high) {
    return fail(EACCES, "bpf_spin_lock cannot be accessed directly by load/store");
  }
  return true;
}

bool Analysis::check_map_key(uint32_t regno, const Register& pointer, int64_t offset, uint32_t size,
                             Access access) {
  if (access == Access::write) return fail(EACCES, "write to change key R%u not allowed", regno);
  return check_region(regno, pointer, offset, size, map_spec(pointer.map_index).key_size);
}

// The fields of struct bpf_sock and bpf_tcp_sock are words; a socket is never there in sluice, so
// only their place counts.
bool Analysis::check_socket(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size,
                            Access access) {
  if (access == Access::write) {
    return fail(EACCES, "R%u cannot write into %s", regno, type_name(pointer).c_str());
  }
  const bool tcp = pointer.type == RegType::tcp_sock;
  const auto total = static_cast<int32_t>(tcp ? sizeof(bpf_tcp_sock) : sizeof(bpf_sock));
  const auto width = static_cast<int32_t>(size);
  bool good = offset >= 0 && offset + width <= total && offset % width == 0 && (size <= 4 || tcp);
  if (pointer.type == RegType::sock_common &&
      offset >= static_cast<int32_t>(offsetof(bpf_sock, type)) &&
      offset < static_cast<int32_t>(offsetof(bpf_sock, src_ip4))) {
    good = false;
  }
  if (good) return true;
  return fail(EACCES, "R%u invalid %s access off=%d size=%u", regno, type_name(pointer).c_str(),
              offset, size);
}

namespace {

// Linux keeps atomics off what it translates or what others hold.
bool may_be_atomic(const Register& pointer) {
  return pointer.type != RegType::ctx && !pointer.is_packet() && pointer.type != RegType::socket &&
         pointer.type != RegType::sock_common && pointer.type != RegType::tcp_sock;
}

}  // namespace

bool Analysis::check_access(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size,
                            Access access, bool atomic) {
  if (pointer.type == RegType::ctx) {
    if (atomic) return fail(EACCES, "BPF_ATOMIC stores into R%u ctx is not allowed", regno);
    return check_ctx(regno, pointer, offset, size, access);
  }
  if (atomic && !may_be_atomic(pointer)) {
    return fail(EACCES, "BPF_ATOMIC stores into R%u %s is not allowed", regno,
                type_name(pointer).c_str());
  }
  if (!check_alignment(pointer, offset, size, atomic)) return false;
  const auto fixed = static_cast<uint64_t>(int64_t{pointer.offset} + offset);
  const bool aligned = tnum_add(pointer.value.bits, tnum_const(fixed)).is_aligned(size);
  if (!pointer.or_null) {
    switch (pointer.type) {
      case RegType::map_value:
        if (!check_map_value(regno, pointer, offset, size, access)) return false;
        note_access(Region::map_value, kUnknownOffset, 0, pointer.map_index, aligned);
        note_value_access(pointer, offset, size);
        return true;
      case RegType::map_key:
        if (!check_map_key(regno, pointer, offset, size, access)) return false;
        note_access(Region::memory, kUnknownOffset, 0, -1, aligned);
        return true;
      case RegType::memory:
        if (!check_region(regno, pointer, offset, size, static_cast<uint32_t>(pointer.range)))
          return false;
        note_access(Region::memory, kUnknownOffset, 0, -1, aligned && pointer.record);
        return true;
      case RegType::packet:
      case RegType::packet_meta:
        if (!check_packet(regno, pointer, offset, size)) return false;
        note_access(Region::packet, kUnknownOffset, 0, -1, false);
        return true;
      case RegType::socket:
      case RegType::sock_common:
      case RegType::tcp_sock:
        if (!check_socket(regno, pointer, offset, size, access)) return false;
        note_access(Region::memory, kUnknownOffset, 0, -1, false);
        return true;
      case RegType::btf: return fail(EOPNOTSUPP, "reading kernel objects is not supported");
      case RegType::stack: return check_stack(regno, pointer, offset, size, access);
      default: break;
    }
  }
  return fail(EACCES, "R%u invalid mem access '%s'", regno, type_name(pointer).c_str());
}

// What a load of a field gives: a number, or where the packet lies.
void Analysis::load_result(const Insn& insn, const Register& pointer, uint32_t size,
                           Register* out) {
  *out = Register::scalar(Scalar::of_size(size));
  if (pointer.type != RegType::ctx) return;
  const CtxField* field = find_ctx_field(*type_, static_cast<uint32_t>(insn.off), size);
  switch (field->value) {
    case CtxValue::number: return;
    case CtxValue::packet: *out = Register::pointer(RegType::packet); return;
    case CtxValue::packet_meta: *out = Register::pointer(RegType::packet_meta); return;
    case CtxValue::packet_end: *out = Register::pointer(RegType::packet_end); return;
    case CtxValue::socket:
      *out = Register::pointer(RegType::sock_common);
      out->or_null = true;
      out->id = fresh_id();
      return;
  }
}

// A map that neither programs nor clients can change any more holds constants.
bool Analysis::read_frozen(const Register& pointer, int32_t offset, uint32_t size, Register* out) {
  const auto index = static_cast<size_t>(pointer.map_index);
  if (index >= input_.frozen.size() || input_.frozen[index] == 0 || !pointer.value.is_const())
    return false;
  const MapSpec& spec = map_spec(pointer.map_index);
  if ((spec.flags & BPF_F_RDONLY_PROG) == 0 || spec.type != BPF_MAP_TYPE_ARRAY) return false;
  const int64_t at = pointer.offset + offset + static_cast<int64_t>(pointer.value.value());
  uint64_t value = 0;
  __builtin_memcpy(&value, maps_[index]->core().values + at, size);
  *out = Register::constant(value);
  return true;
}

bool Analysis::transfer_load(const Insn& insn) {
  if (!check_read(insn.src_reg) || !check_write(insn.dst_reg)) return false;
  const Register pointer = reg(insn.src_reg);
  const uint32_t size = access_size(insn);
  const bool extends = insn_mode(insn) == kModeMemSx;
  const bool ordered = is_load_acquire(insn);
  if (ordered && !check_alignment(pointer, insn.off, size, true)) return false;
  if (!check_access(insn.src_reg, pointer, insn.off, size, Access::read, false)) return false;
  if (ordered && !may_be_atomic(pointer)) {
    return fail(EACCES, "BPF_ATOMIC loads from R%u %s is not allowed", insn.src_reg,
                type_name(pointer).c_str());
  }
  Register value;
  load_result(insn, pointer, size, &value);
  if (extends && value.is_pointer()) {
    return fail(EACCES, "invalid bpf_context access off=%d size=%u", insn.off, size);
  }
  if (pointer.type == RegType::stack && !read_stack(pointer, insn.off, size, &value)) return false;
  if (pointer.type == RegType::map_value) read_frozen(pointer, insn.off, size, &value);
  if (extends) {
    value =
        Register::scalar(value.is_scalar() ? sign_extend(value.value, size) : Scalar::unknown());
  }
  reg(insn.dst_reg) = value;
  return true;
}

bool Analysis::transfer_store(const Insn& insn) {
  const bool immediate = insn_class(insn) == BPF_ST;
  if (!immediate && !check_read(insn.src_reg)) return false;
  if (!check_read(insn.dst_reg)) return false;
  const Register pointer = reg(insn.dst_reg);
  const uint32_t size = access_size(insn);
  if (!check_access(insn.dst_reg, pointer, insn.off, size, Access::write, is_store_release(insn)))
    return false;
  const bool followed = pointer.type == RegType::stack && pointer.value.is_const();
  if (!immediate && !followed) note_other_use(reg(insn.src_reg));
  if (pointer.type != RegType::stack) return true;
  if (immediate) {
    return write_stack(pointer, insn.off, size,
                       Register::constant(static_cast<uint64_t>(int64_t{insn.imm})), -1);
  }
  // The stored copy and the register learn from each other's tests.
  Register& source = reg(insn.src_reg);
  if (source.is_scalar() && source.value.wide.umax >> (size * 4) >> (size * 4) == 0)
    give_id(&source);
  return write_stack(pointer, insn.off, size, source, insn.src_reg);
}

bool Analysis::transfer_atomic(const Insn& insn) {
  if (!check_read(insn.src_reg) || !check_read(insn.dst_reg)) return false;
  const bool exchange = insn.imm == BPF_CMPXCHG;
  if (exchange && !check_read(BPF_REG_0)) return false;
  const bool fetch = (insn.imm & BPF_FETCH) != 0;
  const uint32_t result = exchange ? static_cast<uint32_t>(BPF_REG_0) : insn.src_reg;
  note_other_use(reg(insn.src_reg));
  if (fetch && !check_write(result)) return false;
  const Register pointer = reg(insn.dst_reg);
  const uint32_t size = access_size(insn);
  if (!check_access(insn.dst_reg, pointer, insn.off, size, Access::read, true)) return false;
  Register before = Register::scalar(Scalar::of_size(size));
  if (pointer.type == RegType::stack && !read_stack(pointer, insn.off, size, &before)) return false;
  // Linux fills the register before it looks at the write: an address that the result replaces is
  // refused.
  if (fetch) reg(result) = before;
  if (!check_access(insn.dst_reg, reg(insn.dst_reg), insn.off, size, Access::write, true))
    return false;
  if (pointer.type != RegType::stack) return true;
  const int64_t base = int64_t{pointer.offset} + insn.off;
  if (pointer.value.is_const()) {
    put_on_stack_access(pointer.frame,
                        static_cast<int32_t>(base + static_cast<int64_t>(pointer.value.value())));
  }
  smudge_stack(pointer.frame, static_cast<int32_t>(base + pointer.value.wide.smin),
               static_cast<int32_t>(base + pointer.value.wide.smax + size));
  return true;
}

bool Analysis::transfer_load_imm64(const Insn& insn) {
  if (!check_write(insn.dst_reg)) return false;
  const Insn& next = program_->insns[insn_ + 1];
  if (insn.src_reg == 0) {
    const uint64_t value =
        static_cast<uint32_t>(insn.imm) | uint64_t{static_cast<uint32_t>(next.imm)} << 32;
    reg(insn.dst_reg) = Register::constant(value);
    return true;
  }
  if (insn.src_reg == BPF_PSEUDO_FUNC) return load_function(insn);
  const bool whole = insn.src_reg == BPF_PSEUDO_MAP_FD;
  reg(insn.dst_reg) =
      Register::pointer(whole ? RegType::const_map : RegType::map_value, whole ? 0 : next.imm);
  reg(insn.dst_reg).map_index = static_cast<int16_t>(insn.imm);
  note_map(insn.imm);
  return true;
}

// Every 64-bit immediate load of a map names one of ours, whether it is ever reached or not.
bool Analysis::check_maps() {
  const auto& insns = input_.insns;
  for (insn_ = 0; insn_ < insns.size(); insn_ += insn_length(insns[insn_])) {
    const Insn& insn = insns[insn_];
    if (!is_load_imm64(insn) || insn.src_reg == 0 || insn.src_reg == BPF_PSEUDO_FUNC) continue;
    if (insn.src_reg != BPF_PSEUDO_MAP_FD && insn.src_reg != BPF_PSEUDO_MAP_VALUE) {
      return fail(EINVAL, "unrecognized bpf_ld_imm64 insn");
    }
    if (insn.imm < 0 || static_cast<size_t>(insn.imm) >= input_.maps.size()) {
      return fail(EINVAL, "fd %d is not pointing to valid bpf_map", insn.imm);
    }
    const int32_t offset = insns[insn_ + 1].imm;
    if (!check_map_use(map_spec(insn.imm))) return false;
    if (insn.src_reg == BPF_PSEUDO_MAP_FD) {
      if (offset != 0) return fail(EINVAL, "unrecognized bpf_ld_imm64 insn");
      continue;
    }
    const MapSpec& spec = input_.maps[static_cast<size_t>(insn.imm)]->spec();
    if (spec.type != BPF_MAP_TYPE_ARRAY)
      return fail(EINVAL, "no direct value access support for this map type");
    if (spec.max_entries != 1)
      return fail(EOPNOTSUPP, "direct value access to map with max_entries!=1");
    if (static_cast<uint32_t>(offset) >= spec.value_size) {
      return fail(EINVAL, "invalid access to map value pointer, value_size=%u off=%u",
                  spec.value_size, static_cast<uint32_t>(offset));
    }
  }
  return true;
}

bool Analysis::check_map_use(const MapSpec& spec) {
  if (spec.spin_lock_offset < 0) return true;
  if (input_.type == BPF_PROG_TYPE_SOCKET_FILTER) {
    return fail(EINVAL, "socket filter progs cannot use bpf_spin_lock yet");
  }
  const bool tracing =
      input_.type == BPF_PROG_TYPE_KPROBE || input_.type == BPF_PROG_TYPE_TRACEPOINT;
  return !tracing || fail(EINVAL, "tracing progs cannot use bpf_spin_lock yet");
}

bool Analysis::transfer_packet_load(const Insn& insn) {
  if (!type_->packet_loads) {
    return fail(EINVAL, "BPF_LD_[ABS|IND] instructions not allowed for this program type");
  }
  if (!check_read(BPF_REG_6)) return false;
  if (insn_mode(insn) == BPF_IND && !check_read(insn.src_reg)) return false;
  if (reg(BPF_REG_6).type != RegType::ctx) {
    return fail(EINVAL, "at the time of BPF_LD_ABS|IND R6 != pointer to skb");
  }
  if (!check_unmoved(BPF_REG_6, reg(BPF_REG_6))) return false;
  if (!check_nothing_held("BPF_LD_[ABS|IND]")) return false;
  clobber_caller_saved();
  reg(BPF_REG_0) = Register::unknown();  // as wide as Linux takes it
  note_access(Region::packet, kUnknownOffset, 0, -1, false);
  return true;
}

}  // namespace sluice::bpf
