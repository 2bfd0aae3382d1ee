// Facts for the interpreter and the JIT: what held on every path that reached an instruction.
#include <algorithm>

#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {

// A fact seen a second time keeps only what both times agree on.
void Analysis::note_access(Region region, int32_t offset, uint32_t frame_up, int32_t map_index) {
  InsnFact& fact = program_->facts[insn_];
  if (noted_[insn_] == 0) {
    noted_[insn_] = 1;
    fact.region = region;
    fact.offset = offset;
    fact.frame_up = static_cast<uint8_t>(frame_up);
    fact.map_index = map_index;
    return;
  }
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
}  // namespace

void Analysis::note_map(int32_t map_index) {
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

}  // namespace sluice::bpf
