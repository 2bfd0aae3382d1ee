// How a verdict is told: the kernel's log, and the report for people.
#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <string_view>

#include "bpf/isa/disasm.hpp"
#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

constexpr size_t kPathShown = 16;
constexpr size_t kMaxLog = 16u << 20;

struct Advice {
  std::string_view fragment;  // of the reason
  std::string_view text;
};
constexpr std::array kAdvice{
    Advice{"map_value_or_null", "compare the pointer that the lookup returned with NULL before using it"},
    Advice{"!read_ok", "give the register a value on every path that leads here (calls destroy R1 to R5)"},
    Advice{"invalid access to map value", "check the index against the size of the value before the access"},
    Advice{"min value is negative", "make the index unsigned, or check that it is not below zero"},
    Advice{"unbounded memory access", "bound the value first: `if (x >= limit) return 0;` or `x &= limit - 1;`"},
    Advice{"infinite loop", "change a variable that the loop's condition tests on every round"},
    Advice{"too large. Processed", "bound the loops more tightly, or split the program"},
    Advice{"GPL-restricted", "give the program a GPL-compatible licence in its `license` section, or drop the call"},
    Advice{"invalid mem access 'scalar'", "the register holds a number; keep the pointer in a register or a whole stack slot"},
    Advice{"stack R", "stay within the 512 bytes below R10"},
    Advice{"combined stack", "keep large variables in a map rather than on the stack"},
    Advice{"invalid bpf_context access", "read fields of struct __sk_buff at their own size; only cb may be written"},
    Advice{"unknown func", "programs of this type may not call that helper"},
    Advice{"frame pointer", "copy R10 to another register and change that"},
    Advice{"unreachable insn", "remove the dead code, or compile with -O2"},
    Advice{"misaligned", "access memory at a multiple of the access's size"},
    Advice{"R6 != pointer to skb", "copy the context (R1) to R6 before packet loads"},
};

}  // namespace

std::string suggestion_for(const std::string& reason) {
  for (const Advice& advice : kAdvice) {
    if (reason.find(advice.fragment) != std::string::npos) return std::string(advice.text);
  }
  return {};
}

const char* type_name(RegType type) {
  switch (type) {
    case RegType::uninit: return "?";
    case RegType::scalar: return "scalar";
    case RegType::ctx: return "ctx";
    case RegType::stack: return "fp";
    case RegType::const_map: return "map_ptr";
    case RegType::map_value: return "map_value";
    case RegType::map_value_or_null: return "map_value_or_null";
  }
  return "?";
}

std::string tnum_text(Tnum bits) {
  if (bits.is_const()) return std::to_string(bits.value);
  char text[64];
  snprintf(text, sizeof text, "(0x%llx; 0x%llx)", static_cast<unsigned long long>(bits.value),
           static_cast<unsigned long long>(bits.mask));
  return text;
}

namespace {

std::string scalar_text(const Scalar& value) {
  if (value.is_const()) return std::to_string(static_cast<int64_t>(value.value()));
  std::string out = "scalar(";
  auto put = [&out](const char* name, bool known, auto number) {
    if (!known) return;
    if (out.back() != '(') out += ",";
    out += std::string(name) + "=" + std::to_string(number);
  };
  put("smin", value.wide.smin != INT64_MIN, value.wide.smin);
  put("smax", value.wide.smax != INT64_MAX, value.wide.smax);
  put("umin", value.wide.umin != 0, value.wide.umin);
  put("umax", value.wide.umax != UINT64_MAX, value.wide.umax);
  if (value.bits.mask != ~0ull) out += std::string(out.back() == '(' ? "" : ",") + "var_off=" + tnum_text(value.bits);
  return out + ")";
}

}  // namespace

std::string register_text(const Register& reg, const std::vector<std::shared_ptr<Map>>& maps) {
  const bool fixed = reg.value.is_const();
  switch (reg.type) {
    case RegType::uninit: return "?";
    case RegType::scalar: return scalar_text(reg.value);
    case RegType::stack: 
      return std::string("fp").append(std::to_string(reg.offset)).append(fixed ? "" : "+").append(
          fixed ? "" : scalar_text(reg.value));
    case RegType::ctx: 
      return reg.offset == 0 ? "ctx()" : std::string("ctx(off=").append(std::to_string(reg.offset)).append(")");
    default: break;
  }
  const MapSpec& spec = maps[static_cast<size_t>(reg.map_index)]->spec();
  std::string out = std::string(type_name(reg.type)) + "(";
  if (reg.id != 0) out += "id=" + std::to_string(reg.id) + ",";
  if (reg.offset != 0) out += "off=" + std::to_string(reg.offset) + ",";
  out += "ks=" + std::to_string(spec.key_size) + ",vs=" + std::to_string(spec.value_size);
  if (!fixed) out.append(",").append(scalar_text(reg.value));
  return out + ")";
}

bool Analysis::fail(int code, const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (input_.log_level != 0) {
    if (!log_.empty() && log_.back() != '\n') log_ += "\n";
    log_ += std::string(text) + "\n";
  }
  fill_report(code, text);
  return false;
}

void Analysis::fill_report(int code, const std::string& reason) {
  report_.code = code;
  report_.insn = insn_;
  report_.reason = reason;
  report_.suggestion = suggestion_for(reason);
  for (int32_t at = path_; at >= 0 && report_.path.size() < kPathShown; at = path_nodes_[at].before) {
    const PathNode& node = path_nodes_[at];
    const Insn& insn = program_->insns[node.insn];
    std::string line = std::to_string(node.insn) + ": " + disassemble(&insn) + (node.taken ? ": taken" : ": not taken");
    line += ", r" + std::to_string(insn.dst_reg) + " is " + type_name(node.type);
    if (node.type == RegType::scalar) {
      line += " in [" + std::to_string(node.umin) + ", " + std::to_string(node.umax) + "]";
    }
    report_.path.push_back(std::move(line));
  }
  std::reverse(report_.path.begin(), report_.path.end());
}

void Analysis::log_insn() {
  if (log_.size() > kMaxLog) return;
  log_ += std::to_string(insn_) + ": " + disassemble(&program_->insns[insn_]);
}

// What the instruction at insn_ changed, in the column the kernel uses.
void Analysis::log_state() {
  if (log_.size() > kMaxLog) return;
  const size_t line = log_.rfind('\n') == std::string::npos ? 0 : log_.rfind('\n') + 1;
  const uint16_t writes = register_use(program_->insns[insn_]).writes;
  std::string facts;
  for (uint32_t i = 0; i < kRegisters; i++) {
    if ((writes >> i & 1) == 0 || reg(i).type == RegType::uninit) continue;
    facts += " R" + std::to_string(i) + "=" + register_text(reg(i), input_.maps);
  }
  if (!facts.empty()) {
    const size_t width = log_.size() - line;
    log_ += std::string(width < 40 ? 40 - width : 1, ' ') + ";" + facts;
  }
  log_ += "\n";
}

void Analysis::log_totals() {
  if (input_.log_level == 0) return;
  char text[160];
  snprintf(text, sizeof text,
           "processed %llu insns (limit %u) max_states_per_insn %llu total_states %llu peak_states %llu mark_read 0\n",
           static_cast<unsigned long long>(processed_), kMaxVerifiedInsns,
           static_cast<unsigned long long>(pruner_.most_per_insn()), static_cast<unsigned long long>(pruner_.total()),
           static_cast<unsigned long long>(pruner_.peak()));
  log_ += text;
}

}  // namespace sluice::bpf
