// Which maps a program only adds to: each way to a value's bytes that is no atomic add of a whole
// field says otherwise.
#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

constexpr bool adds_unseen(const Insn& insn) { return is_atomic(insn) && insn.imm == BPF_ADD; }

}  // namespace

Analysis::MapUse* Analysis::use_of(int32_t map_index) {
  const auto index = static_cast<size_t>(map_index);
  return map_index >= 0 && index < uses_.size() ? &uses_[index] : nullptr;
}

// The instruction accesses `size` bytes of a value.
void Analysis::note_value_access(const Register& pointer, int32_t offset, uint32_t size) {
  MapUse* use = use_of(pointer.map_index);
  if (use == nullptr || use->otherwise) return;
  const bool adds = adds_unseen(program_->insns[insn_]) && pointer.value.is_const();
  const int64_t at =
      int64_t{pointer.offset} + offset + static_cast<int64_t>(adds ? pointer.value.value() : 0);
  const AddedField field{static_cast<uint32_t>(at), size};
  use->otherwise = !adds || at % size != 0 || !add_field(&use->fields, field);
}

// Somebody else gets a pointer to a value, or to the map; or it becomes a number, which may be what
// somebody gets.
void Analysis::note_other_use(const Register& pointer) {
  if (pointer.type != RegType::map_value && pointer.type != RegType::const_map) return;
  if (MapUse* use = use_of(pointer.map_index); use != nullptr) use->otherwise = true;
}

// The same of the pointers that lie in bytes [low, high) of a frame.
void Analysis::note_given_stack(uint32_t frame, int32_t low, int32_t high) {
  const std::vector<StackSlot>& slots = state_.frames[frame].stack;
  for (uint32_t i = Frame::slot_index(high - 1); i <= Frame::slot_index(low) && i < slots.size();
       i++) {
    if (slots[i].bytes[0] == StackByte::spill) note_other_use(slots[i].spilled);
  }
}

// What lies on the stack was checked as what `seen` has there, which may be a number where this
// state has an address. `all`: also where nothing is known to read it.
void Analysis::note_seen_as_numbers(const State& seen, bool all) {
  for (size_t f = 0; f < state_.frames.size(); f++) {
    const Frame& before = seen.frames[f];
    const std::vector<StackSlot>& slots = state_.frames[f].stack;
    for (size_t i = 0; i < slots.size(); i++) {
      const bool read = all || (before.live_slots >> i & 1) != 0;
      const bool same = i < before.stack.size() && before.stack[i].bytes[0] == StackByte::spill;
      if (read && !same && slots[i].bytes[0] == StackByte::spill) note_other_use(slots[i].spilled);
    }
  }
}

void Analysis::keep_uses() {
  for (MapUse& use : uses_) {
    program_->added.push_back(use.otherwise ? AddedFields{} : AddedFields{std::move(use.fields)});
  }
}

}  // namespace sluice::bpf
