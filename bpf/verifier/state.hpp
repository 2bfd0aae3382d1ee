// The abstract machine: registers, frames with byte-wise stack slots, references held. Owned and
// changed by one verification.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "bpf/isa/insn.hpp"
#include "bpf/verifier/scalar.hpp"

namespace sluice::bpf {

enum class RegType : uint8_t {
  uninit,
  scalar,
  ctx,
  stack,
  const_map,
  map_key,
  map_value,
  packet,
  packet_meta,
  packet_end,
  memory,       // ring buffer record, or what a global subprogram was given
  socket,
  sock_common,
  tcp_sock,
  btf,          // a kernel object; nothing of it can be read here
  function,
};

// What a packet pointer's `range` says besides bytes: it was seen to lie beyond or at the packet's
// end.
inline constexpr int32_t kBeyondPacketEnd = -2;
inline constexpr int32_t kAtPacketEnd = -1;

// A scalar's value, or a pointer: fixed offset `offset` plus the variable one `value` from the base
// of its region.
struct Register {
  RegType type = RegType::uninit;
  bool or_null = false;
  bool precise = false;    // scalar in a checkpoint: pruning may not forget its value
  bool added = false;      // scalar: it is `offset` more than the others with its id
  bool added_low = false;  // and was added to on 32 bits
  uint8_t frame = 0;       // stack: which frame's
  bool record = false;     // memory: of a ring buffer
  // const_map, map_key, map_value: into Analysis::maps_; function: the subprogram
  int16_t map_index = -1;
  int32_t offset = 0;
  int32_t range = 0;       // packet: readable bytes from the base; memory: its size
  // or-null pointers of one lookup share it; so do scalars that are copies of one another, and
  // packet pointers with the same variable offset. 0: none.
  uint32_t id = 0;
  uint32_t reference = 0;  // of what has to be released
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
  [[nodiscard]] bool is_packet() const {
    return type == RegType::packet || type == RegType::packet_meta;
  }
  [[nodiscard]] bool is_const(uint64_t x) const {
    return is_scalar() && value.is_const() && value.value() == x;
  }
  void unlink() {
    id = 0;
    added = false;
    added_low = false;
    if (is_scalar()) offset = 0;
  }
  bool operator==(const Register&) const = default;
};

enum class StackByte : uint8_t { uninit, misc, zero, spill };

// Eight bytes of stack; bytes[0] is the lowest address. Where bytes are `spill` they are the first
// bytes of `spilled`.
struct StackSlot {
  std::array<StackByte, 8> bytes{};
  Register spilled;

  // Bytes of the spilled register that the slot still holds.
  [[nodiscard]] uint32_t spill_size() const {
    uint32_t size = 0;
    while (size < 8 && bytes[size] == StackByte::spill) size++;
    return size;
  }
  [[nodiscard]] bool holds_scalar() const {
    return bytes[0] == StackByte::spill && spilled.is_scalar();
  }
};

enum class FrameKind : uint8_t { main, subprogram, callback };

struct Frame {
  std::array<Register, kRegisters> regs;
  std::vector<StackSlot> stack;  // [i] covers offsets -8(i+1) to -8i-1 from the frame's top
  uint32_t callsite = 0;         // the call that made it
  uint32_t subprogram = 0;
  FrameKind kind = FrameKind::main;
  // rounds of the callback that the current call has been followed through
  uint32_t callback_depth = 0;
  // Bit i: stack[i] was written since the last checkpoint; in a checkpoint, between the one before
  // and it.
  uint64_t written = ~0ull;
  // In a checkpoint: slots that some path from it reads before it writes them.
  uint64_t live_slots = 0;

  static uint32_t slot_index(int32_t offset) { return static_cast<uint32_t>(-offset - 1) / 8; }
  // The slot that the byte at `offset` (negative) lies in, made if need be.
  StackSlot& slot(int32_t offset) {
    const uint32_t index = slot_index(offset);
    if (index >= stack.size()) stack.resize(index + 1);
    return stack[index];
  }
  static uint32_t byte_of(int32_t offset) {
    return static_cast<uint32_t>(offset + static_cast<int32_t>(kMaxStack)) % 8;
  }
};

// Something acquired that the program has to release.
struct Reference {
  uint32_t id;
  uint32_t insn;
};

struct SpinLock {
  bool held = false;
  int16_t map_index = -1;
  uint32_t id = 0;  // of the lookup that gave the value; 0: directly addressed
};

struct State {
  std::vector<Frame> frames;
  std::vector<Reference> references;
  SpinLock lock;
  [[nodiscard]] Frame& top() { return frames.back(); }
  [[nodiscard]] const Frame& top() const { return frames.back(); }
  // Registers of every frame, and those that its slots hold.
  template <class Function>
  void for_each_register(Function&& function) {
    for (Frame& frame : frames) {
      for (Register& each : frame.regs) function(each);
      for (StackSlot& slot : frame.stack) {
        if (slot.bytes[0] == StackByte::spill) function(slot.spilled);
      }
    }
  }
  // Bytes of memory held.
  [[nodiscard]] size_t bytes() const {
    size_t sum = sizeof(State) + references.capacity() * sizeof(Reference);
    for (const Frame& frame : frames)
      sum += sizeof(Frame) + frame.stack.capacity() * sizeof(StackSlot);
    return sum;
  }
};

// The kernel's name of a register's type: scalar, ctx, fp, map_ptr, map_value, map_value_or_null.
std::string type_name(const Register& reg);

}  // namespace sluice::bpf
