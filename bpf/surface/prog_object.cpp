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

// The instructions as Linux shows them: map ids in place of descriptors, functions by their
// distance, calls with that as offset and the subprogram's number as immediate.
std::vector<Insn> shown_insns(const AnnotatedProgram& program,
                              const std::vector<std::shared_ptr<MapObject>>& maps) {
  std::vector<Insn> insns = program.insns;
  for (size_t i = 0; i < insns.size(); i += insn_length(insns[i])) {
    if (is_local_call(insns[i])) {
      const auto target = static_cast<uint32_t>(jump_target(insns[i], static_cast<int64_t>(i)));
      const auto callee = std::ranges::find(program.subprograms, target, &Subprogram::start);
      insns[i].off = static_cast<int16_t>(insns[i].imm);
      insns[i].imm = static_cast<int32_t>(callee - program.subprograms.begin());
    }
    if (!is_load_imm64(insns[i])) continue;
    const auto index = static_cast<size_t>(insns[i].imm);
    const bool of_map =
        insns[i].src_reg == BPF_PSEUDO_MAP_FD || insns[i].src_reg == BPF_PSEUDO_MAP_VALUE;
    if (of_map) insns[i].imm = static_cast<int32_t>(maps[index]->id);
    if (insns[i].src_reg != BPF_PSEUDO_FUNC) continue;
    insns[i].imm =
        static_cast<int32_t>(program.subprograms[index].start) - static_cast<int32_t>(i) - 1;
  }
  return insns;
}

// The first instruction that is left at or behind one that was loaded.
uint32_t place_of(uint32_t loaded, const std::vector<uint32_t>& origins) {
  return static_cast<uint32_t>(std::ranges::lower_bound(origins, loaded) - origins.begin());
}

// A line whose instructions are gone goes with them, unless the next instruction has no line of its
// own.
std::vector<bpf_line_info> lines_left(const std::vector<bpf_line_info>& lines,
                                      const std::vector<uint32_t>& origins) {
  std::vector<bpf_line_info> left;
  for (bpf_line_info line : lines) {
    line.insn_off = place_of(line.insn_off, origins);
    if (line.insn_off == origins.size()) break;
    if (!left.empty() && left.back().insn_off == line.insn_off) left.pop_back();
    left.push_back(line);
  }
  return left;
}

std::vector<bpf_func_info> functions_left(const std::vector<bpf_func_info>& functions,
                                          const VerifierResult& result) {
  std::vector<bpf_func_info> left;
  for (size_t i = 0; i < functions.size(); i++) {
    bpf_func_info function = functions[i];
    function.insn_off = place_of(function.insn_off, result.origins);
    const uint32_t next = i + 1 < functions.size()
                              ? place_of(functions[i + 1].insn_off, result.origins)
                              : static_cast<uint32_t>(result.origins.size());
    if (function.insn_off != next) left.push_back(function);
  }
  return left;
}

}  // namespace

// The prog_arrays the program uses are from now on for programs of its kind.
bool claim_tail_calls(const ProgSpec& spec) {
  const uint64_t kind = spec.type | uint64_t{spec.expected_attach_type} << 32;
  return std::all_of(spec.maps.begin(), spec.maps.end(),
                     [kind](const auto& map) { return map->map->claim_kind(kind); });
}

void admit_to_maps(const AnnotatedProgram& program) {
  for (size_t i = 0; i < program.maps.size(); i++) program.maps[i]->admit(program.added[i]);
}

Hardening hardening_for(JitHarden harden, uid_t uid) {
  Hardening hardening{.mask_indices = uid != 0};
  if (harden == JitHarden::all || (harden == JitHarden::unprivileged && uid != 0)) {
    uint64_t& seed = hardening.blinding_seed;
    while (::getrandom(&seed, sizeof seed, 0) != sizeof seed || seed == 0) continue;
  }
  return hardening;
}

VerifierInput verifier_input(const ProgSpec& spec, bool gpl_compatible, uint32_t log_level,
                             uint32_t possible_cpus) {
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
  program->xlated = shown_insns(*result.program, spec.maps);
  program->func_info = functions_left(spec.func_info, result);
  program->line_info = lines_left(spec.line_info, result.origins);
  program->annotated = std::move(result.program);
  for (auto& map : spec.maps) program->bind_map(std::move(map));
  program->source = std::move(spec.resolved);
  program->source_func_info = std::move(spec.func_info);
  program->source_line_info = std::move(spec.line_info);
  program->flags = spec.flags;
  program->name = std::move(spec.name);
  program->licence = std::move(spec.licence);
  program->btf = std::move(spec.btf);
  return program;
}

}  // namespace sluice::bpf::surface
