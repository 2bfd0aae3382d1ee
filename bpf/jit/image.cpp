#include "bpf/jit/image.hpp"

#include <algorithm>
#include <cerrno>

#include "base/limits.hpp"

namespace sluice::bpf::jit {
namespace {

// Copies are of the values that the map has, and are not there by half.
bool good_copies(const MapImage& map) {
  const PrivateCopies& copies = map.copies;
  if (copies.copies == nullptr) return true;
  if (map.core.type != BPF_MAP_TYPE_ARRAY || copies.values != map.core.values) return false;
  return copies.adding != nullptr && copies.distance != 0;
}

bool good_shape(const ProgramImage& program) {
  if (program.insns.empty() || program.insns.size() > kMaxInsns) return false;
  if (program.facts.size() != program.insns.size()) return false;
  if (program.maps.size() > kMaxMapsPerProgram) return false;
  if (!std::ranges::all_of(program.maps, good_copies)) return false;
  return !program.subprograms.empty() && program.subprograms.size() <= kMaxSubprograms;
}

// Subprograms follow each other and cover the program.
bool good_subprograms(const ProgramImage& program) {
  uint32_t next = 0;
  for (const auto& subprogram : program.subprograms) {
    if (subprogram.start != next || subprogram.end <= subprogram.start) return false;
    next = subprogram.end;
  }
  return next == program.insns.size();
}

bool good_target(const ProgramImage& program, const Subprogram& inside, uint32_t index) {
  const Insn& insn = program.insns[index];
  const int64_t target = jump_target(insn, index);
  if (is_local_call(insn))
    return target >= 0 && target < static_cast<int64_t>(program.insns.size());
  if (target < inside.start || target >= inside.end) return false;
  return !is_conditional_jump(insn) || index + 1 < inside.end;
}

bool good_immediate(const ProgramImage& program, const Subprogram& inside, uint32_t index) {
  if (index + 1 >= inside.end) return false;
  const auto number = static_cast<uint32_t>(program.insns[index].imm);
  switch (program.insns[index].src_reg) {
    case 0: return true;
    case BPF_PSEUDO_FUNC: return number < program.subprograms.size();
    default: return number < program.maps.size();
  }
}

bool good_insn(const ProgramImage& program, const Subprogram& inside, uint32_t index) {
  const Insn& insn = program.insns[index];
  const InsnFact& fact = program.facts[index];
  if (insn.dst_reg >= kRegisters || insn.src_reg >= kRegisters) return false;
  if (fact.map_index >= static_cast<int32_t>(program.maps.size())) return false;
  const bool jumps = is_goto(insn) || is_conditional_jump(insn) || is_local_call(insn);
  if (jumps && !good_target(program, inside, index)) return false;
  if (is_load_imm64(insn) && !good_immediate(program, inside, index)) return false;
  for (int i = 0; i < 5; i++) {
    const int32_t offset = fact.argument_stack_offset[i];
    if (offset == kUnknownOffset) continue;
    const bool inside_frame = offset >= -static_cast<int32_t>(kMaxStack) && offset <= 0;
    if (!inside_frame || fact.argument_size[i] > static_cast<uint32_t>(-offset)) return false;
  }
  if (fact.region != Region::stack || fact.offset == kUnknownOffset) return true;
  return fact.offset >= -static_cast<int32_t>(kMaxStack) &&
         fact.offset + static_cast<int32_t>(access_size(insn)) <= 0;
}

Status check_program(const ProgramImage& program) {
  if (!good_shape(program))
    return fail(EINVAL, "jit: program " + program.name + ": its parts do not fit together");
  if (!good_subprograms(program))
    return fail(EINVAL, "jit: program " + program.name + ": its subprograms do not cover it");
  for (const auto& subprogram : program.subprograms) {
    for (uint32_t i = subprogram.start; i < subprogram.end; i += insn_length(program.insns[i])) {
      if (!good_insn(program, subprogram, i)) {
        return fail(EINVAL, "jit: program " + program.name + ": instruction " + std::to_string(i) +
                                " refers to what is not there");
      }
    }
  }
  return {};
}

}  // namespace

ProgramImage make_image(const AnnotatedProgram& program) {
  ProgramImage image{program.name,
                     program.type,
                     program.hardening,
                     program.insns,
                     program.facts,
                     program.subprograms,
                     {}};
  for (size_t i = 0; i < program.maps.size(); i++) {
    const Map& map = *program.maps[i];
    const bool adds = i < program.added.size() && program.added[i];
    image.maps.push_back({map.core(), reinterpret_cast<uintptr_t>(&map.core()),
                          adds ? map.private_copies() : PrivateCopies{}});
  }
  return image;
}

ChainImage make_image(const ChainSpec& spec) {
  ChainImage image{ChainImage::Entry::burst, spec.layout, {}};
  for (const auto& program : spec.programs) image.programs.push_back(make_image(*program));
  return image;
}

ChainImage make_program_image(const AnnotatedProgram& program) {
  ChainImage image{ChainImage::Entry::program, kLinearLayout, {}};
  image.programs.push_back(make_image(program));
  return image;
}

Status check_image(const ChainImage& image) {
  if (image.programs.size() > kMaxChainPrograms) {
    return fail(E2BIG,
                "jit: a chain has at most " + std::to_string(kMaxChainPrograms) + " programs");
  }
  if (image.entry == ChainImage::Entry::program && image.programs.size() != 1) {
    return fail(EINVAL, "jit: a single program is asked for, and the chain is none");
  }
  for (const auto& program : image.programs) {
    if (auto good = check_program(program); !good) return good;
  }
  return {};
}

}  // namespace sluice::bpf::jit
