// The abstract machine: registers, frames with byte-wise stack slots. Owned and changed by one verification.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/limits.hpp"
#include "bpf/isa/insn.hpp"
#include "bpf/verifier/scalar.hpp"

namespace sluice::bpf {

enum class RegType : uint8_t { uninit, scalar, ctx, stack, const_map, map_value, map_value_or_null };

// A scalar's value, or a pointer: fixed offset `offset` plus the variable one `value` from the base of its region.
struct Register {
  RegType type = RegType::uninit;
  uint8_t frame = 0;       // stack: which frame's
  int16_t map_index = -1;  // const_map, map_value, map_value_or_null
  int32_t offset = 0;
  // or-null pointers of one lookup share it; so do scalars that are copies of one another. 0: none.
  uint32_t id = 0;
  Scalar value;

  static Register scalar(const Scalar& value) {
    Register reg;
    reg.type = RegType::scalar;
    reg.value = value;
    return reg;
  }
  static Register constant(uint64_t value) { return scalar(Scalar::constant(value)); }
  static Register unknown() { return scalar(Scalar::unknown()); }
  static Register pointer(RegType type, int32_t offset = 0) {
    Register reg;
    reg.type = type;
    reg.offset = offset;
    reg.value = Scalar::constant(0);
    return reg;
  }
  [[nodiscard]] bool is_scalar() const { return type == RegType::scalar; }
  [[nodiscard]] bool is_pointer() const { return type > RegType::scalar; }
  [[nodiscard]] bool is_const(uint64_t x) const { return is_scalar() && value.is_const() && value.value() == x; }
  bool operator==(const Register&) const = default;
};

enum class StackByte : uint8_t { uninit, misc, zero, spill };

// Eight bytes of stack; bytes[0] is the lowest address. Where bytes are `spill` they are the first bytes of `spilled`.
struct StackSlot {
  std::array<StackByte, 8> bytes{};
  Register spilled;

  // Bytes of the spilled register that the slot still holds.
  [[nodiscard]] uint32_t spill_size() const {
    uint32_t size = 0;
    while (size < 8 && bytes[size] == StackByte::spill) size++;
    return size;
  }
};

struct Frame {
  std::array<Register, kRegisters> regs;
  std::vector<StackSlot> stack;  // [i] covers offsets -8(i+1) to -8i-1 from the frame's top
  uint32_t callsite = 0;         // the call that made it
  uint32_t subprogram = 0;

  // The slot that the byte at `offset` (negative) lies in, made if need be.
  StackSlot& slot(int32_t offset) {
    const auto index = static_cast<size_t>(-offset - 1) / 8;
    if (index >= stack.size()) stack.resize(index + 1);
    return stack[index];
  }
  static uint32_t byte_of(int32_t offset) { return static_cast<uint32_t>(offset + static_cast<int32_t>(kMaxStack)) % 8; }
};

struct State {
  std::vector<Frame> frames;
  [[nodiscard]] Frame& top() { return frames.back(); }
  [[nodiscard]] const Frame& top() const { return frames.back(); }
};

// The kernel's name of a register's type: scalar, ctx, fp, map_ptr, map_value, map_value_or_null.
const char* type_name(RegType type);

}  // namespace sluice::bpf
