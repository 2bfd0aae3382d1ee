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

struct Advice {
  std::string_view fragment;  // of the reason
  std::string_view text;
};
constexpr std::array kAdvice{
    Advice{"map_value_or_null",
           "compare the pointer that the lookup returned with NULL before using it"},
    Advice{"offset is outside of the packet",
           "compare the pointer plus the bytes needed with data_end on every path: "
           "`if (p + 1 > data_end) return 0;`"},
    Advice{"invalid access to packet",
           "compare the pointer plus the bytes needed with data_end on every path"},
    Advice{"_or_null", "compare the pointer with NULL before using it"},
    Advice{"reference leak",
           "submit or discard the ring buffer record (or release the socket) on every path"},
    Advice{"while holding a lock",
           "take the lock for loads and stores alone, and unlock before any call"},
    Advice{"bpf_spin_lock-ed region", "unlock on every path before this"},
    Advice{"is not a known constant", "give the helper a size that is a constant"},
    Advice{"cannot pass map_type", "use the helpers that go with this type of map"},
    Advice{"missing btf func_info", "compile with -g, so that the object has BTF"},
    Advice{"should have been in [0, 1]", "return 0 to go on or 1 to stop"},
    Advice{"!read_ok",
           "give the register a value on every path that leads here (calls destroy R1 to R5)"},
    Advice{"invalid access to map value",
           "check the index against the size of the value before the access"},
    Advice{"min value is negative", "make the index unsigned, or check that it is not below zero"},
    Advice{"unbounded memory access",
           "bound the value first: `if (x >= limit) return 0;` or `x &= limit - 1;`"},
    Advice{"infinite loop", "change a variable that the loop's condition tests on every round"},
    Advice{"too large. Processed", "bound the loops more tightly, or split the program"},
    Advice{"GPL-restricted",
           "give the program a GPL-compatible licence in its `license` section, or drop the call"},
    Advice{"invalid mem access 'scalar'",
           "the register holds a number; keep the pointer in a register or a whole stack slot"},
    Advice{"stack R", "stay within the 512 bytes below R10"},
    Advice{"combined stack", "keep large variables in a map rather than on the stack"},
    Advice{"invalid bpf_context access",
           "read fields of struct __sk_buff at their own size; only cb may be written"},
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

bool Analysis::fail(int code, const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (input_.log_level != 0) log_ += std::string(text) + "\n";
  fill_report(code, text);
  return false;
}

// "file.c:12: text" of the line that an instruction was compiled from; empty: not known.
std::string Analysis::source_of(uint32_t insn) const {
  const bpf_line_info* last = nullptr;
  for (const bpf_line_info& line : input_.line_info) {
    if (line.insn_off > insn) break;
    last = &line;
  }
  if (last == nullptr) return {};
  const std::string_view file = btf_.string(last->file_name_off);
  if (file.empty()) return {};
  std::string_view text = btf_.string(last->line_off);
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  return std::string(file) + ":" + std::to_string(BPF_LINE_INFO_LINE_NUM(last->line_col)) + ": " +
         std::string(text);
}

void Analysis::fill_report(int code, const std::string& reason) {
  report_.code = code;
  report_.insn = insn_;
  report_.reason = reason;
  report_.suggestion = suggestion_for(reason);
  report_.source = source_of(insn_);
  for (int32_t at = path_; at >= 0 && report_.path.size() < kPathShown;
       at = path_nodes_[at].before) {
    const PathNode& node = path_nodes_[at];
    const Insn& insn = program_->insns[node.insn];
    std::string line = std::to_string(node.insn) + ": " + disassemble(&insn) +
                       (node.taken ? ": taken" : ": not taken");
    line += ", r" + std::to_string(insn.dst_reg) + " is " + type_name(node.left);
    if (node.left.is_scalar()) {
      line += " in [" + std::to_string(node.left.value.wide.umin) + ", " +
              std::to_string(node.left.value.wide.umax) + "]";
    } else if (node.left.is_packet() && node.left.range >= 0) {
      line += " with " + std::to_string(node.left.range) + " bytes known to be there";
    }
    report_.path.push_back(std::move(line));
  }
  std::reverse(report_.path.begin(), report_.path.end());
}

}  // namespace sluice::bpf
