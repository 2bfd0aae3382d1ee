#include "bpf/surface/prog_report.hpp"

#include "bpf/helpers/helper.hpp"
#include "bpf/isa/disasm.hpp"
#include "bpf/surface/btf.hpp"

namespace sluice::bpf::surface {
namespace {

std::string source_line(const ProgSpec& spec, uint32_t insn) {
  if (spec.btf == nullptr) return {};
  const bpf_line_info* last = nullptr;
  for (const auto& line : spec.line_info) {
    if (line.insn_off > insn) break;
    last = &line;
  }
  if (last == nullptr) return {};
  const std::string_view file = btf_string(spec.btf->blob, last->file_name_off);
  std::string_view text = btf_string(spec.btf->blob, last->line_off);
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  if (file.empty()) return {};
  return std::string(file) + ":" + std::to_string(BPF_LINE_INFO_LINE_NUM(last->line_col)) + ": " +
         std::string(text);
}

// "" where the licence is not what it was rejected for.
std::string licence_reason(const ProgSpec& spec, bool gpl_compatible, uint32_t insn) {
  if (gpl_compatible || insn >= spec.insns.size() || !is_helper_call(spec.insns[insn])) return {};
  const Helper* helper = find_helper(static_cast<uint32_t>(spec.insns[insn].imm));
  if (helper == nullptr || !helper->gpl_only) return {};
  return "licence \"" + spec.licence + "\" is not GPL-compatible, but it calls bpf_" +
         std::string(helper->name) + " (gpl_only)";
}

}  // namespace

LoadFailure describe_rejection(const ProgSpec& spec, bool gpl_compatible,
                               const VerifierResult& result) {
  const Report& report = result.report;
  LoadFailure failure;
  const std::string licence = licence_reason(spec, gpl_compatible, report.insn);
  failure.error = {report.code, licence.empty() ? report.reason : licence};
  failure.log = result.log;
  std::string& text = failure.details;
  text = "reason: " + failure.error.text + "\n";
  text += "at: instruction " + std::to_string(report.insn);
  if (report.insn < spec.insns.size()) {
    const Insn pair[2] = {spec.insns[report.insn], report.insn + 1 < spec.insns.size()
                                                       ? spec.insns[report.insn + 1]
                                                       : Insn{}};
    text += " " + disassemble(pair);
  }
  const std::string source = source_line(spec, report.insn);
  if (!source.empty()) text += "\n    " + source;
  text += "\n";
  if (!report.path.empty()) text += "path:\n";
  for (const auto& step : report.path) text += "    " + step + "\n";
  if (!report.suggestion.empty()) text += "suggestion: " + report.suggestion + "\n";
  return failure;
}

std::string log_text(const LoadFailure& failure) {
  std::string text = failure.log;
  if (!text.empty() && text.back() != '\n') text += '\n';
  return text + failure.details;
}

}  // namespace sluice::bpf::surface
