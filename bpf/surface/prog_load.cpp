// PROG_LOAD and PROG_BIND_MAP.
#include "bpf/surface/log_buffer.hpp"
#include "bpf/surface/prog_object.hpp"
#include "bpf/surface/prog_report.hpp"
#include "bpf/surface/prog_spec.hpp"
#include "bpf/verifier/verifier.hpp"

namespace sluice::bpf::surface {
namespace {

long refuse(Call& call, LoadFailure failure) {
  const long result = -failure.error.code;
  if (call.caller.failure != nullptr) *call.caller.failure = std::move(failure);
  return result;
}

// With what the log says of it.
long refuse_logged(Call& call, const LogBuffer& log, LoadFailure failure, size_t lost = 0) {
  std::string text = log_text(failure);
  if (text.empty()) text = failure.error.text + "\n";
  const int error = write_log(call, log, text, lost);
  if (error != 0) failure.error.code = -error;
  return refuse(call, std::move(failure));
}

}  // namespace

long prog_load(Call& call) {
  const LogBuffer log{call.attr.log_buf, call.attr.log_size, call.attr.log_level,
                      kProgLogTrueSizeAt};
  auto spec = read_prog_spec(call);
  if (!spec) return refuse(call, {std::move(spec.error()), {}, {}});
  if (!log.valid())
    return refuse(call, {{EINVAL, "log_level, log_size and log_buf disagree"}, {}, {}});
  const bool gpl_compatible = is_gpl_compatible(spec->licence);
  if (call.options.licence == LicencePolicy::gpl_only && !gpl_compatible) {
    const std::string why = "licence \"" + spec->licence +
                            "\" is not GPL-compatible, and the licence policy is gpl_only";
    return refuse_logged(call, log, {{EINVAL, why}, {}, {}});
  }
  if (auto checked = check_debug_info(*spec); !checked) {
    return refuse_logged(call, log, {std::move(checked.error()), {}, {}});
  }
  if (auto resolved = resolve_maps(call, &*spec); !resolved) {
    return refuse_logged(call, log, {std::move(resolved.error()), {}, {}});
  }
  // Level 1 costs little and a rejection without a log helps nobody.
  const uint32_t level = log.level != 0 || call.caller.failure == nullptr ? log.level : 1;
  VerifierInput input = verifier_input(*spec, gpl_compatible, level, call.state.map_slots);
  input.hardening = hardening_for(call.options.jit_harden, call.caller.uid);
  VerifierResult result = verify(input);
  if (result.program == nullptr) {
    return refuse_logged(call, log, describe_rejection(*spec, gpl_compatible, result),
                         result.log_lost);
  }
  if (!claim_tail_calls(*spec)) {
    return refuse_logged(call, log,
                         {{EINVAL, "a prog_array it uses holds programs of another type"}, {}, {}});
  }
  if (const int error = write_log(call, log, result.log, result.log_lost); error != 0) {
    return refuse(call, {{-error, "the log buffer is too small or not there"}, {}, {}});
  }
  auto program = make_program(call.caller.uid, std::move(*spec), std::move(result));
  admit_to_maps(*program->annotated);
  if (!call.objects.add(program, call.options.max_programs)) {
    const std::string limit = std::to_string(call.options.max_programs);
    return refuse(call, {{ENOSPC, "the limit of " + limit + " programs is reached"}, {}, {}});
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
  if (program->bind_map(std::move(map))) return save_changed(call, program);
  return 0;
}

}  // namespace sluice::bpf::surface
