// Loads, stores and atomics, and the loads of constants and packet bytes.
#include <cerrno>

#include "bpf/isa/opcode_new.hpp"
#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

constexpr int64_t kMaxVariableOffset = 1 << 29;  // Linux: BPF_MAX_VAR_OFF

}  // namespace

bool Analysis::check_alignment(const Register& pointer, int32_t offset, uint32_t size, bool atomic) {
  const bool strict = atomic || pointer.type == RegType::stack || (input_.flags & BPF_F_STRICT_ALIGNMENT) != 0;
  if (!strict || size == 1) return true;
  const auto fixed = static_cast<uint64_t>(static_cast<int64_t>(pointer.offset) + offset);
  if (tnum_add(pointer.value.bits, tnum_const(fixed)).is_aligned(size)) return true;
  const char* what = pointer.type == RegType::stack ? "stack " : pointer.type == RegType::map_value ? "value " : "";
  return fail(EACCES, "misaligned %saccess off %s+%d+%d size %u", what, tnum_text(pointer.value.bits).c_str(),
              pointer.offset, offset, size);
}

bool Analysis::check_ctx_pointer(uint32_t regno, const Register& pointer) {
  if (!pointer.value.is_const()) {
    return fail(EACCES, "variable ctx access var_off=%s disallowed", tnum_text(pointer.value.bits).c_str());
  }
  const int64_t moved = pointer.offset + static_cast<int64_t>(pointer.value.value());
  if (moved < 0) return fail(EACCES, "negative offset ctx ptr R%u off=%d disallowed", regno, pointer.offset);
  if (moved == 0) return true;
  return fail(EACCES, "dereference of modified ctx ptr R%u off=%d disallowed", regno, pointer.offset);
}

bool Analysis::check_ctx(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size, Access access) {
  if (!check_ctx_pointer(regno, pointer)) return false;
  const CtxField* field =
      offset < 0 ? nullptr : find_ctx_field(*type_, static_cast<uint32_t>(offset), size);
  bool good = field != nullptr && offset % static_cast<int32_t>(size) == 0;
  if (good) good = ((access == Access::read ? field->reads : field->writes) & size) != 0;
  if (!good) return fail(EACCES, "invalid bpf_context access off=%d size=%u", offset, size);
  if (field->value != CtxValue::number) return fail(EOPNOTSUPP, "this field of the context is not supported");
  note_access(Region::ctx, offset, 0, -1);
  return true;
}

bool Analysis::check_map_value(uint32_t regno, const Register& pointer, int64_t offset, uint32_t size, Access access) {
  const Map& map = *input_.maps[static_cast<size_t>(pointer.map_index)];
  const uint32_t value_size = map.spec().value_size;
  const auto total = static_cast<long long>(pointer.offset + offset);
  if (access == Access::write && (map.spec().flags & BPF_F_RDONLY_PROG) != 0) {
    return fail(EACCES, "write into map forbidden, value_size=%u off=%lld size=%u", value_size, total, size);
  }
  if (access == Access::read && (map.spec().flags & BPF_F_WRONLY_PROG) != 0) {
    return fail(EACCES, "read from map forbidden, value_size=%u off=%lld size=%u", value_size, total, size);
  }
  const Range64& range = pointer.value.wide;
  const int64_t low = range.smin + total;
  if (range.smin < 0 && (range.smin == INT64_MIN || low < 0)) {
    return fail(EACCES,
                "R%u min value is negative, either use unsigned index or do a if (index >=0) check.", regno);
  }
  auto fits = [value_size, size](int64_t at) { return at >= 0 && at + size <= int64_t{value_size}; };
  if (low > kMaxVariableOffset * 4 || !fits(low)) {
    return fail(EACCES, "invalid access to map value, value_size=%u off=%lld size=%u", value_size,
                static_cast<long long>(low), size);
  }
  if (range.umax >= static_cast<uint64_t>(kMaxVariableOffset)) {
    return fail(EACCES, "R%u unbounded memory access, make sure to bounds check any such access", regno);
  }
  const int64_t high = static_cast<int64_t>(range.umax) + total;
  if (!fits(high)) {
    return fail(EACCES, "invalid access to map value, value_size=%u off=%lld size=%u", value_size,
                static_cast<long long>(high), size);
  }
  return true;
}

bool Analysis::check_access(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size, Access access,
                            bool atomic) {
  switch (pointer.type) {
    case RegType::ctx:
      if (atomic) return fail(EACCES, "BPF_ATOMIC stores into R%u ctx is not allowed", regno);
      return check_ctx(regno, pointer, offset, size, access);
    case RegType::map_value:
      if (!check_alignment(pointer, offset, size, atomic)) return false;
      if (!check_map_value(regno, pointer, offset, size, access)) return false;
      note_access(Region::map_value, kUnknownOffset, 0, pointer.map_index);
      return true;
    case RegType::stack:
      if (!check_alignment(pointer, offset, size, atomic)) return false;
      return check_stack(regno, pointer, offset, size, access);
    default:
      if (!check_alignment(pointer, offset, size, atomic)) return false;
      return fail(EACCES, "R%u invalid mem access '%s'", regno, type_name(pointer.type));
  }
}

bool Analysis::transfer_load(const Insn& insn) {
  if (!check_read(insn.src_reg) || !check_write(insn.dst_reg)) return false;
  const Register pointer = reg(insn.src_reg);
  const uint32_t size = access_size(insn);
  if (!check_access(insn.src_reg, pointer, insn.off, size, Access::read, false)) return false;
  Register value = Register::scalar(Scalar::of_size(size));
  if (pointer.type == RegType::stack && !read_stack(pointer, insn.off, size, &value)) return false;
  if (insn_mode(insn) == kModeMemSx) {
    value = Register::scalar(value.is_scalar() ? sign_extend(value.value, size) : Scalar::unknown());
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
  if (!check_access(insn.dst_reg, pointer, insn.off, size, Access::write, false)) return false;
  if (pointer.type != RegType::stack) return true;
  if (immediate) {
    return write_stack(pointer, insn.off, size, Register::constant(static_cast<uint64_t>(int64_t{insn.imm})));
  }
  Register& source = reg(insn.src_reg);
  // The stored copy and the register learn from each other's tests.
  if (source.is_scalar() && !source.value.is_const() && source.id == 0) source.id = fresh_id();
  return write_stack(pointer, insn.off, size, source);
}

bool Analysis::transfer_atomic(const Insn& insn) {
  if (!check_read(insn.src_reg) || !check_read(insn.dst_reg)) return false;
  const bool exchange = insn.imm == BPF_CMPXCHG;
  if (exchange && !check_read(BPF_REG_0)) return false;
  const bool fetch = (insn.imm & BPF_FETCH) != 0;
  const uint32_t result = exchange ? static_cast<uint32_t>(BPF_REG_0) : insn.src_reg;
  if (fetch && !check_write(result)) return false;
  const Register pointer = reg(insn.dst_reg);
  const uint32_t size = access_size(insn);
  if (!check_access(insn.dst_reg, pointer, insn.off, size, Access::read, true)) return false;
  // Linux fills the register before it looks at the write: an address that the result replaces is refused.
  if (fetch) reg(result) = Register::scalar(Scalar::of_size(size));
  if (!check_access(insn.dst_reg, reg(insn.dst_reg), insn.off, size, Access::write, true)) return false;
  if (pointer.type == RegType::stack) {
    Register stored = Register::scalar(Scalar::unknown());
    if (!write_stack(pointer, insn.off, size, stored)) return false;
  }
  return true;
}

bool Analysis::transfer_load_imm64(const Insn& insn) {
  if (!check_write(insn.dst_reg)) return false;
  const Insn& next = program_->insns[insn_ + 1];
  if (insn.src_reg == 0) {
    const uint64_t value = static_cast<uint32_t>(insn.imm) | uint64_t{static_cast<uint32_t>(next.imm)} << 32;
    reg(insn.dst_reg) = Register::constant(value);
    return true;
  }
  const bool whole = insn.src_reg == BPF_PSEUDO_MAP_FD;
  reg(insn.dst_reg) = Register::pointer(whole ? RegType::const_map : RegType::map_value, whole ? 0 : next.imm);
  reg(insn.dst_reg).map_index = static_cast<int16_t>(insn.imm);
  note_map(insn.imm);
  return true;
}

// Every 64-bit immediate load of a map names one of ours, whether it is ever reached or not.
bool Analysis::check_maps() {
  const auto& insns = input_.insns;
  for (insn_ = 0; insn_ < insns.size(); insn_ += insn_length(insns[insn_])) {
    const Insn& insn = insns[insn_];
    if (!is_load_imm64(insn) || insn.src_reg == 0) continue;
    if (insn.src_reg != BPF_PSEUDO_MAP_FD && insn.src_reg != BPF_PSEUDO_MAP_VALUE) {
      return fail(EINVAL, "unrecognized bpf_ld_imm64 insn");
    }
    if (insn.imm < 0 || static_cast<size_t>(insn.imm) >= input_.maps.size()) {
      return fail(EINVAL, "fd %d is not pointing to valid bpf_map", insn.imm);
    }
    const int32_t offset = insns[insn_ + 1].imm;
    if (insn.src_reg == BPF_PSEUDO_MAP_FD) {
      if (offset != 0) return fail(EINVAL, "unrecognized bpf_ld_imm64 insn");
      continue;
    }
    const MapSpec& spec = input_.maps[static_cast<size_t>(insn.imm)]->spec();
    if (spec.type != BPF_MAP_TYPE_ARRAY) return fail(EINVAL, "no direct value access support for this map type");
    if (spec.max_entries != 1) return fail(EOPNOTSUPP, "direct value access to map with max_entries!=1");
    if (static_cast<uint32_t>(offset) >= spec.value_size) {
      return fail(EINVAL, "invalid access to map value pointer, value_size=%u off=%u", spec.value_size,
                  static_cast<uint32_t>(offset));
    }
  }
  return true;
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
  if (!check_ctx_pointer(BPF_REG_6, reg(BPF_REG_6))) return false;
  clobber_caller_saved();
  reg(BPF_REG_0) = Register::unknown();  // as wide as Linux takes it
  note_access(Region::packet, kUnknownOffset, 0, -1);
  return true;
}

}  // namespace sluice::bpf
