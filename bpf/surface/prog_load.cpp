// PROG_LOAD and PROG_BIND_MAP.
#include <time.h>

#include <algorithm>

#include "bpf/surface/log_buffer.hpp"
#include "bpf/surface/prog_report.hpp"
#include "bpf/surface/prog_spec.hpp"
#include "bpf/verifier/verifier.hpp"

namespace sluice::bpf::surface {
namespace {

uint64_t boot_time_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

long refuse(Call& call, LoadFailure failure) {
  const long result = -failure.error.code;
  if (call.caller.failure != nullptr) *call.caller.failure = std::move(failure);
  return result;
}

// With what the log says of it.
long refuse_logged(Call& call, const LogBuffer& log, LoadFailure failure) {
  std::string text = log_text(failure);
  if (text.empty()) text = failure.error.text + "\n";
  const int error = write_log(call, log, text);
  if (error != 0) failure.error.code = -error;
  return refuse(call, std::move(failure));
}

// The prog_arrays the program uses are from now on for programs of its kind.
bool claim_tail_calls(const ProgSpec& spec) {
  const uint64_t kind = spec.type | uint64_t{spec.expected_attach_type} << 32;
  return std::all_of(spec.maps.begin(), spec.maps.end(), [kind](const auto& map) { return map->map->claim_kind(kind); });
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

VerifierInput verifier_input(const Call& call, const ProgSpec& spec, bool gpl_compatible, uint32_t log_level) {
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
  input.possible_cpus = call.state.map_slots;
  if (spec.btf != nullptr) input.btf = spec.btf->blob;
  input.func_info = spec.func_info;
  input.line_info = spec.line_info;
  return input;
}

std::shared_ptr<ProgramObject> make_program(Call& call, ProgSpec spec, VerifierResult result) {
  auto program = std::make_shared<ProgramObject>();
  program->uid = call.caller.uid;
  program->type = spec.type;
  program->expected_attach_type = spec.expected_attach_type;
  program->gpl_compatible = is_gpl_compatible(spec.licence);
  program->tag = program_tag(spec.insns);
  program->load_time_ns = boot_time_ns();
  program->verified_insns = result.verified_insns;
  program->annotated = std::move(result.program);
  program->xlated = with_map_ids(spec);
  for (auto& map : spec.maps) program->bind_map(std::move(map));
  program->name = std::move(spec.name);
  program->licence = std::move(spec.licence);
  program->btf = std::move(spec.btf);
  program->func_info = std::move(spec.func_info);
  program->line_info = std::move(spec.line_info);
  return program;
}

}  // namespace

long prog_load(Call& call) {
  const LogBuffer log{call.attr.log_buf, call.attr.log_size, call.attr.log_level, kProgLogTrueSizeAt};
  auto spec = read_prog_spec(call);
  if (!spec) return refuse(call, {std::move(spec.error()), {}, {}});
  if (!log.valid()) return refuse(call, {{EINVAL, "log_level, log_size and log_buf disagree"}, {}, {}});
  const bool gpl_compatible = is_gpl_compatible(spec->licence);
  if (call.options.licence == LicencePolicy::gpl_only && !gpl_compatible) {
    return refuse_logged(call, log, {{EINVAL, "licence \"" + spec->licence + "\" is not GPL-compatible, and the licence policy is gpl_only"}, {}, {}});
  }
  if (auto checked = check_debug_info(*spec); !checked) return refuse_logged(call, log, {std::move(checked.error()), {}, {}});
  if (auto resolved = resolve_maps(call, &*spec); !resolved) return refuse_logged(call, log, {std::move(resolved.error()), {}, {}});
  // Level 1 costs little and a rejection without a log helps nobody.
  const uint32_t level = log.level != 0 || call.caller.failure == nullptr ? log.level : 1;
  VerifierResult result = verify(verifier_input(call, *spec, gpl_compatible, level));
  if (result.program == nullptr) return refuse_logged(call, log, describe_rejection(*spec, gpl_compatible, result));
  if (!claim_tail_calls(*spec)) {
    return refuse_logged(call, log, {{EINVAL, "a prog_array it uses holds programs of another type"}, {}, {}});
  }
  if (const int error = write_log(call, log, result.log); error != 0) {
    return refuse(call, {{-error, "the log buffer is too small or not there"}, {}, {}});
  }
  auto program = make_program(call, std::move(*spec), std::move(result));
  if (!call.objects.add(program, call.options.max_programs)) {
    return refuse(call, {{ENOSPC, "the limit of " + std::to_string(call.options.max_programs) + " programs is reached"}, {}, {}});
  }
  return call.objects.open({std::move(program)});
}

long prog_bind_map(Call& call) {
  const auto& attr = call.attr.prog_bind_map;
  if (attr.flags != 0) return -EINVAL;
  std::shared_ptr<ProgramObject> program;
  std::shared_ptr<MapObject> map;
  if (const int error = call.object_of(attr.prog_fd, &program); error != 0) return error;
  if (const int error = call.object_of(attr.map_fd, &map); error != 0) return error;
  program->bind_map(std::move(map));
  return 0;
}

}  // namespace sluice::bpf::surface
