// The stack, byte by byte. All accesses are naturally aligned (Linux demands that of the stack on
// every machine), so one never crosses an 8-byte slot.
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
  return pointer.value.wide.smin > -kMaxVariableOffset &&
         pointer.value.wide.smax < kMaxVariableOffset;
}

}  // namespace

bool Analysis::check_stack(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size,
                           Access access) {
  const char* how = access == Access::read ? "read from" : "write to";
  const bool variable = !pointer.value.is_const();
  if (!bounded(pointer))
    return fail(EACCES, "invalid unbounded variable-offset %s stack R%u", how, regno);
  const Span span = span_of(pointer, offset, size);
  if (span.low < -kDepth || span.high > 0) {
    // Linux tells an access that begins outside from one that ends there.
    const int code = span.low < -kDepth || span.low > -1 ? EACCES : EINVAL;
    if (!variable) return fail(code, "invalid %s stack R%u off=%lld size=%u", how, regno,
                               static_cast<long long>(span.low), size);
    return fail(code, "invalid variable-offset %s stack R%u var_off=%s off=%lld size=%u", how,
                regno, tnum_text(pointer.value.bits).c_str(),
                static_cast<long long>(pointer.offset) + offset, size);
  }
  use_stack(pointer, span.low);
  const auto frame_up = static_cast<uint32_t>(state_.frames.size() - 1 - pointer.frame);
  note_access(Region::stack, variable ? kUnknownOffset : static_cast<int32_t>(span.low), frame_up,
              -1, true);
  return true;
}

void Analysis::use_stack(const Register& pointer, int64_t low) {
  Subprogram& sub = program_->subprograms[state_.frames[pointer.frame].subprogram];
  sub.stack_depth = std::max(sub.stack_depth, static_cast<uint32_t>((-low + 7) / 8 * 8));
}

void Analysis::put_on_stack_access(uint32_t frame, int32_t offset) {
  HistoryNode& node = history_.nodes[path_node_];
  node.stack = true;
  node.frame = static_cast<uint8_t>(frame);
  node.slot = static_cast<uint8_t>(Frame::slot_index(offset));
  marks_since_++;
}

void Analysis::mark_bytes_read(uint32_t frame, int32_t low, int32_t high) {
  uint64_t slots = 0;
  for (uint32_t i = Frame::slot_index(high - 1); i <= Frame::slot_index(low); i++)
    slots |= 1ull << i;
  mark_slots_read(frame, slots);
}

// The register that a slot holds, or its low bytes.
bool Analysis::fill_register(StackSlot* slot, uint32_t held, uint32_t size, Register* out) {
  if (slot->spilled.is_pointer()) {
    if (size != 8 || held != 8) return fail(EACCES, "invalid size of register fill");
    *out = slot->spilled;
    return true;
  }
  give_id(&slot->spilled);
  *out = slot->spilled;
  if (size == 8) return true;
  const bool fits = out->value.wide.umax >> (size * 8) == 0;
  out->value = zero_extend(out->value, size);
  if (!fits) out->unlink();
  return true;
}

// A register that was stored, a number of which all bytes are zero, or any number of that size.
bool Analysis::read_stack(const Register& pointer, int32_t offset, uint32_t size, Register* out) {
  Frame& frame = state_.frames[pointer.frame];
  const Span span = span_of(pointer, offset, size);
  const auto low = static_cast<int32_t>(span.low);
  const auto high = static_cast<int32_t>(span.high);
  mark_bytes_read(pointer.frame, low, high);
  uint32_t zeros = 0;
  if (!pointer.value.is_const()) {
    note_slots(low, low + 1);
    note_given_stack(pointer.frame, low, high);
    for (int32_t at = low; at < high; at++)
      zeros += frame.slot(at).bytes[Frame::byte_of(at)] == StackByte::zero;
    *out = zeros == static_cast<uint32_t>(high - low) ? Register::constant(0)
                                                      : Register::scalar(Scalar::of_size(size));
    return true;
  }
  note_slots(low, high);
  StackSlot& slot = frame.slot(low);
  const uint32_t held = slot.spill_size();
  const uint32_t first = Frame::byte_of(low);
  if (held != 0 && first == 0 && size <= held) {
    put_on_stack_access(pointer.frame, low);
    return fill_register(&slot, held, size, out);
  }
  if (held != 0 && first < held && slot.spilled.is_pointer())
    return fail(EACCES, "invalid size of register fill");
  uint32_t spilled = 0;
  for (uint32_t i = first; i < first + size; i++) {
    zeros += slot.bytes[i] == StackByte::zero;
    spilled += slot.bytes[i] == StackByte::spill;
  }
  const bool spilled_zero = spilled == size && slot.spilled.is_const(0);
  if (spilled_zero) put_on_stack_access(pointer.frame, low);
  *out = zeros == size || spilled_zero ? Register::constant(0)
                                       : Register::scalar(Scalar::of_size(size));
  return true;
}

// Numbers and pointers stored in slots that these bytes lie in are no longer known; other bytes
// stay as they are.
void Analysis::smudge_spills(uint32_t frame, int32_t low, int32_t high) {
  for (int32_t at = low; at < high; at++) {
    StackSlot& slot = state_.frames[frame].slot(at);
    if (slot.bytes[0] != StackByte::spill) continue;
    note_other_use(slot.spilled);
    for (StackByte& each : slot.bytes) {
      if (each == StackByte::spill) each = StackByte::misc;
    }
    slot.spilled = Register{};
  }
}

// For the log.
void Analysis::note_slots(int32_t low, int32_t high) {
  for (int32_t at = low; at < high; at++) changed_slots_ |= 1ull << Frame::slot_index(at);
}

void Analysis::smudge_stack(uint32_t frame, int32_t low, int32_t high) {
  note_slots(low, high);
  smudge_spills(frame, low, high);
  for (int32_t at = low; at < high; at++)
    state_.frames[frame].slot(at).bytes[Frame::byte_of(at)] = StackByte::misc;
}

// It may have hit any of these bytes: a zero there stays zero only if a zero was written.
void Analysis::write_anywhere(const Register& pointer, int32_t low, int32_t high, bool zero,
                              int32_t value_reg) {
  bool zero_counts = false;
  for (int32_t at = low; at < high; at++) {
    StackSlot& slot = state_.frames[pointer.frame].slot(at);
    StackByte& byte = slot.bytes[Frame::byte_of(at)];
    const bool was_zero =
        byte == StackByte::zero || (byte == StackByte::spill && slot.spilled.is_const(0));
    if (zero && was_zero) {
      zero_counts = true;
      continue;
    }
    smudge_stack(pointer.frame, at, at + 1);
  }
  if (zero_counts && value_reg >= 0) mark_precise(static_cast<uint32_t>(value_reg));
}

bool Analysis::write_stack(const Register& pointer, int32_t offset, uint32_t size,
                           const Register& value, int32_t value_reg) {
  const Span span = span_of(pointer, offset, size);
  const auto low = static_cast<int32_t>(span.low);
  if (!pointer.value.is_const()) {
    write_anywhere(pointer, low, static_cast<int32_t>(span.high), value.is_const(0), value_reg);
    return true;
  }
  if (value.is_pointer()) {
    if (size != 8) return fail(EACCES, "invalid size of register spill");
    if (value.type == RegType::stack && pointer.frame + 1u != state_.frames.size()) {
      return fail(EINVAL, "cannot spill pointers to stack into stack frame of the caller");
    }
  }
  put_on_stack_access(pointer.frame, low);
  note_slots(low, static_cast<int32_t>(span.high));
  Frame& frame = state_.frames[pointer.frame];
  StackSlot& slot = frame.slot(low);
  const uint32_t first = Frame::byte_of(low);
  if (first == 0) {
    if (size == 8) frame.written |= 1ull << Frame::slot_index(low);
    if (size != 8) note_given_stack(pointer.frame, low, low + 1);
    // What is left of the slot keeps only its zeros.
    for (uint32_t i = size; i < 8; i++) {
      if (slot.bytes[i] == StackByte::spill) slot.bytes[i] = StackByte::misc;
    }
    for (uint32_t i = 0; i < size; i++) slot.bytes[i] = StackByte::spill;
    // A part of a number is kept as the whole, and cut when it is read: what is known of it is
    // known to Linux the same way.
    slot.spilled = value;
    if (size != 8 && value.value.wide.umax >> (size * 8) != 0) slot.spilled.unlink();
    return true;
  }
  const bool zero = value.is_const(0);
  smudge_stack(pointer.frame, low, low + static_cast<int32_t>(size));
  if (!zero) return true;
  if (value_reg >= 0) mark_precise(static_cast<uint32_t>(value_reg));
  for (uint32_t i = 0; i < size; i++) slot.bytes[first + i] = StackByte::zero;
  return true;
}

// The key of a lookup, where it lies on the stack and is known. It then matters.
bool Analysis::constant_key(const Register& key, uint32_t size, uint64_t* value) {
  if (key.type != RegType::stack || !key.value.is_const() || size > 8) return false;
  const auto low = static_cast<int32_t>(key.offset + static_cast<int64_t>(key.value.value()));
  StackSlot& slot = state_.frames[key.frame].slot(low);
  const uint32_t first = Frame::byte_of(low);
  uint32_t zeros = 0;
  while (first + zeros < 8 && slot.bytes[first + zeros] == StackByte::zero) zeros++;
  if (zeros >= size) {
    *value = 0;
    return true;
  }
  if (first != 0 || !slot.holds_scalar() || slot.spill_size() != size ||
      !slot.spilled.value.is_const())
    return false;
  *value = slot.spilled.value.value();
  mark_precise_slot(key.frame, Frame::slot_index(low));
  return true;
}

}  // namespace sluice::bpf
