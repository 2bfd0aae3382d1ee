// Facts for the interpreter and the JIT: what held on every path that reached an instruction.
#include <algorithm>

#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {

// A fact seen a second time keeps only what both times agree on.
void Analysis::note_access(Region region, int32_t offset, uint32_t frame_up, int32_t map_index,
                           bool aligned) {
  if (map_index >= static_cast<int32_t>(input_.maps.size())) map_index = -1;
  InsnFact& fact = program_->facts[insn_];
  if (noted_[insn_] == 0) {
    fact.aligned = aligned;
    noted_[insn_] = 1;
    fact.region = region;
    fact.offset = offset;
    fact.frame_up = static_cast<uint8_t>(frame_up);
    fact.map_index = map_index;
    return;
  }
  fact.aligned = fact.aligned && aligned;
  if (fact.region != region) fact.region = Region::mixed;
  if (fact.offset != offset || fact.frame_up != frame_up || fact.region == Region::mixed) {
    fact.offset = kUnknownOffset;
    fact.frame_up = 0;
  }
  if (fact.map_index != map_index) fact.map_index = -1;
}

namespace {
constexpr uint8_t kMapNoted = 2;
constexpr uint8_t kArgumentNoted = 4;  // shifted by the argument's index
constexpr uint8_t kCallNoted = 128;
}  // namespace

void Analysis::note_map(int32_t map_index) {
  if (map_index >= static_cast<int32_t>(input_.maps.size())) map_index = -1;
  InsnFact& fact = program_->facts[insn_];
  if ((noted_[insn_] & kMapNoted) == 0) {
    noted_[insn_] |= kMapNoted;
    fact.map_index = map_index;
  } else if (fact.map_index != map_index) {
    fact.map_index = -1;
  }
}

void Analysis::note_argument(uint32_t index, const Register& pointer, uint32_t size) {
  InsnFact& fact = program_->facts[insn_];
  const bool known = pointer.type == RegType::stack && pointer.value.is_const() &&
                     pointer.frame + 1u == state_.frames.size();
  const int32_t offset =
      known ? pointer.offset + static_cast<int32_t>(pointer.value.value()) : kUnknownOffset;
  fact.argument_size[index] = std::max(fact.argument_size[index], size);
  const auto noted = static_cast<uint8_t>(kArgumentNoted << index);
  if ((noted_[insn_] & noted) == 0) {
    noted_[insn_] |= noted;
    fact.argument_stack_offset[index] = offset;
  } else if (fact.argument_stack_offset[index] != offset) {
    fact.argument_stack_offset[index] = kUnknownOffset;
  }
}

// What the engines may rely on of a call, on every path.
void Analysis::note_call(const Call& call) {
  InsnFact& fact = program_->facts[insn_];
  const bool in_range = call.constant_key >= 0;
  if ((noted_[insn_] & kCallNoted) == 0) {
    noted_[insn_] |= kCallNoted;
    fact.in_range = in_range;
    fact.callback = call.callback;
    return;
  }
  fact.in_range = fact.in_range && in_range;
  if (fact.callback != call.callback) fact.callback = -1;
}

}  // namespace sluice::bpf
