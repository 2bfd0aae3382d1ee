// The stack, byte by byte. All accesses are naturally aligned (Linux demands that of the stack on every machine), so one
// never crosses an 8-byte slot.
#include <algorithm>
#include <cerrno>

#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

constexpr int64_t kDepth = kMaxStack;

struct Span {
  int64_t low;   // lowest offset touched
  int64_t high;  // one past the highest
};

Span span_of(const Register& pointer, int64_t offset, uint32_t size) {
  const int64_t base = pointer.offset + offset;
  return {base + pointer.value.wide.smin, base + pointer.value.wide.smax + size};
}

bool bounded(const Register& pointer) {
  return pointer.value.wide.smin > -(1 << 29) && pointer.value.wide.smax < (1 << 29);
}

}  // namespace

bool Analysis::check_stack(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size, Access access) {
  const char* how = access == Access::read ? "read from" : "write to";
  const bool variable = !pointer.value.is_const();
  if (!bounded(pointer)) return fail(EACCES, "invalid unbounded variable-offset %s stack R%u", how, regno);
  const Span span = span_of(pointer, offset, size);
  if (span.low < -kDepth || span.high > 0) {
    // Linux tells an access that begins outside from one that ends there.
    const int code = span.low < -kDepth || span.low > -1 ? EACCES : EINVAL;
    if (!variable) return fail(code, "invalid %s stack R%u off=%lld size=%u", how, regno,
                               static_cast<long long>(span.low), size);
    return fail(code, "invalid variable-offset %s stack R%u var_off=%s off=%lld size=%u", how, regno,
                tnum_text(pointer.value.bits).c_str(), static_cast<long long>(pointer.offset) + offset, size);
  }
  use_stack(pointer, span.low);
  const auto frame_up = static_cast<uint32_t>(state_.frames.size() - 1 - pointer.frame);
  note_access(Region::stack, variable ? kUnknownOffset : static_cast<int32_t>(span.low), frame_up, -1);
  return true;
}

void Analysis::use_stack(const Register& pointer, int64_t low) {
  Subprogram& sub = program_->subprograms[state_.frames[pointer.frame].subprogram];
  sub.stack_depth = std::max(sub.stack_depth, static_cast<uint32_t>((-low + 7) / 8 * 8));
}

// A number of which all bytes are zero, or any number of that size.
bool Analysis::read_stack(const Register& pointer, int32_t offset, uint32_t size, Register* out) {
  Frame& frame = state_.frames[pointer.frame];
  const Span span = span_of(pointer, offset, size);
  const auto low = static_cast<int32_t>(span.low);
  const auto high = static_cast<int32_t>(span.high);
  const bool variable = !pointer.value.is_const();
  if (!variable) {
    StackSlot& slot = frame.slot(low);
    const uint32_t held = slot.spill_size();
    const uint32_t first = Frame::byte_of(low);
    if (held != 0 && first < held && !slot.spilled.is_scalar() && (size != 8 || held != 8)) {
      return fail(EACCES, "invalid size of register fill");
    }
    if (held != 0 && first == 0 && size <= held) {
      *out = slot.spilled;
      if (size < held) {
        out->value = zero_extend(slot.spilled.value, size);
        if (!(out->value == slot.spilled.value)) out->id = 0;
      }
      return true;
    }
  }
  bool zero = true;
  for (int32_t at = low; at < high && zero; at++) {
    const StackSlot& slot = frame.slot(at);
    const StackByte byte = slot.bytes[Frame::byte_of(at)];
    zero = byte == StackByte::zero || (byte == StackByte::spill && slot.spilled.is_const(0));
  }
  *out = zero ? Register::constant(0) : Register::scalar(Scalar::of_size(size));
  return true;
}

void Analysis::smudge_stack(uint32_t frame, int32_t low, int32_t high, bool zero) {
  for (int32_t at = low; at < high; at++) {
    StackSlot& slot = state_.frames[frame].slot(at);
    StackByte& byte = slot.bytes[Frame::byte_of(at)];
    if (byte == StackByte::spill) {
      const bool was_zero = slot.spilled.is_const(0);
      for (StackByte& each : slot.bytes) {
        if (each == StackByte::spill) each = was_zero ? StackByte::zero : StackByte::misc;
      }
    }
    if (!zero || byte != StackByte::zero) byte = StackByte::misc;
  }
}

bool Analysis::write_stack(const Register& pointer, int32_t offset, uint32_t size, const Register& value) {
  const Span span = span_of(pointer, offset, size);
  const auto low = static_cast<int32_t>(span.low);
  const auto high = static_cast<int32_t>(span.high);
  if (!pointer.value.is_const()) {
    // It may have hit any of these: a zero there stays zero only if a zero was written.
    smudge_stack(pointer.frame, low, high, value.is_const(0));
    return true;
  }
  if (value.is_pointer()) {
    if (size != 8) return fail(EACCES, "invalid size of register spill");
    if (value.type == RegType::stack && pointer.frame + 1u != state_.frames.size()) {
      return fail(EINVAL, "cannot spill pointers to stack into stack frame of the caller");
    }
  }
  smudge_stack(pointer.frame, low, high, false);
  StackSlot& slot = state_.frames[pointer.frame].slot(low);
  const uint32_t first = Frame::byte_of(low);
  const bool zero = value.is_const(0);
  if (first != 0 || zero) {
    if (!zero) return true;
    for (uint32_t i = 0; i < size; i++) slot.bytes[first + i] = StackByte::zero;
    return true;
  }
  for (uint32_t i = 0; i < size; i++) slot.bytes[i] = StackByte::spill;
  slot.spilled = value;
  if (size == 8) return true;
  slot.spilled.value = zero_extend(value.value, size);
  if (!(slot.spilled.value == value.value)) slot.spilled.id = 0;
  return true;
}

}  // namespace sluice::bpf
