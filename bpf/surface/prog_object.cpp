#include "bpf/surface/prog_object.hpp"

#include <sys/random.h>
#include <time.h>

#include <algorithm>

namespace sluice::bpf::surface {
namespace {

uint64_t boot_time_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

// The instructions as tools dump them: map ids in place of descriptors.
std::vector<Insn> with_map_ids(const ProgSpec& spec) {
  std::vector<Insn> insns = spec.resolved;
  for (size_t i = 0; i + 1 < insns.size(); i++) {
    if (!is_load_imm64(insns[i])) continue;
    const bool of_map = insns[i].src_reg == BPF_PSEUDO_MAP_FD || insns[i].src_reg == BPF_PSEUDO_MAP_VALUE;
    if (of_map) insns[i].imm = static_cast<int32_t>(spec.maps[static_cast<size_t>(insns[i].imm)]->id);
    i++;
  }
  return insns;
}

}  // namespace

// The prog_arrays the program uses are from now on for programs of its kind.
bool claim_tail_calls(const ProgSpec& spec) {
  const uint64_t kind = spec.type | uint64_t{spec.expected_attach_type} << 32;
  return std::all_of(spec.maps.begin(), spec.maps.end(), [kind](const auto& map) { return map->map->claim_kind(kind); });
}

Hardening hardening_for(JitHarden harden, uid_t uid) {
  Hardening hardening{.mask_indices = uid != 0};
  if (harden == JitHarden::all || (harden == JitHarden::unprivileged && uid != 0)) {
    uint64_t& seed = hardening.blinding_seed;
    while (::getrandom(&seed, sizeof seed, 0) != sizeof seed || seed == 0) continue;
  }
  return hardening;
}

VerifierInput verifier_input(const ProgSpec& spec, bool gpl_compatible, uint32_t log_level, uint32_t possible_cpus) {
  VerifierInput input;
  input.name = spec.name;
  input.type = spec.type;
  input.gpl_compatible = gpl_compatible;
  input.flags = spec.flags;
  input.log_level = log_level;
  input.insns = spec.resolved;
  for (const auto& map : spec.maps) {
    input.maps.push_back(share_map(map));
    input.frozen.push_back(map->frozen.load() ? 1 : 0);
  }
  input.expected_attach_type = spec.expected_attach_type;
  input.possible_cpus = possible_cpus;
  if (spec.btf != nullptr) input.btf = spec.btf->blob;
  input.func_info = spec.func_info;
  input.line_info = spec.line_info;
  return input;
}

std::shared_ptr<ProgramObject> make_program(uid_t uid, ProgSpec spec, VerifierResult result) {
  auto program = std::make_shared<ProgramObject>();
  program->uid = uid;
  program->type = spec.type;
  program->expected_attach_type = spec.expected_attach_type;
  program->gpl_compatible = is_gpl_compatible(spec.licence);
  program->tag = program_tag(spec.insns);
  program->load_time_ns = boot_time_ns();
  program->verified_insns = result.verified_insns;
  program->annotated = std::move(result.program);
  program->xlated = with_map_ids(spec);
  for (auto& map : spec.maps) program->bind_map(std::move(map));
  program->source = std::move(spec.resolved);
  program->flags = spec.flags;
  program->name = std::move(spec.name);
  program->licence = std::move(spec.licence);
  program->btf = std::move(spec.btf);
  program->func_info = std::move(spec.func_info);
  program->line_info = std::move(spec.line_info);
  return program;
}

}  // namespace sluice::bpf::surface
