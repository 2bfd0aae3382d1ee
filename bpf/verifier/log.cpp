// The log in the kernel's format (levels 1, 2 and 4 of BPF_PROG_LOAD), which tools read.
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <string_view>

#include "bpf/isa/disasm.hpp"
#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

constexpr size_t kMaxLog = 16u << 20;
constexpr size_t kStateColumn = 40;
constexpr uint32_t kLogStats = 4;

// Small numbers are decimal, others hexadecimal.
std::string signed_text(int64_t value) {
  if (value >= INT16_MIN && value <= INT16_MAX) return std::to_string(value);
  char text[32];
  snprintf(text, sizeof text, "%#llx", static_cast<unsigned long long>(value));
  return text;
}
std::string unsigned_text(uint64_t value) {
  if (value <= UINT16_MAX) return std::to_string(value);
  char text[32];
  snprintf(text, sizeof text, "%#llx", static_cast<unsigned long long>(value));
  return text;
}

// The bounds that say something; those that are equal share their number: smin=umin=1,smax=umax=smax32=umax32=9.
std::string bounds_text(const Scalar& value) {
  struct Bound {
    const char* name;
    uint64_t number;
    bool is_signed;
    bool omit;
  };
  const Range64& wide = value.wide;
  const Range32& low = value.low;
  Bound bounds[] = {
      {"smin", static_cast<uint64_t>(wide.smin), true, wide.smin == INT64_MIN},
      {"smax", static_cast<uint64_t>(wide.smax), true, wide.smax == INT64_MAX},
      {"umin", wide.umin, false, wide.umin == 0},
      {"umax", wide.umax, false, wide.umax == UINT64_MAX},
      {"smin32", static_cast<uint64_t>(int64_t{low.smin}), true, low.smin == INT32_MIN},
      {"smax32", static_cast<uint64_t>(int64_t{low.smax}), true, low.smax == INT32_MAX},
      {"umin32", low.umin, false, low.umin == 0},
      {"umax32", low.umax, false, low.umax == UINT32_MAX},
  };
  std::string out;
  for (size_t i = 0; i < std::size(bounds); i++) {
    if (bounds[i].omit) continue;
    if (!out.empty()) out += ",";
    out += bounds[i].name;
    for (size_t j = i + 1; j < std::size(bounds); j++) {
      if (bounds[j].omit || bounds[j].number != bounds[i].number) continue;
      bounds[j].omit = true;
      out += std::string("=") + bounds[j].name;
    }
    const uint64_t number = bounds[i].number;
    out += "=" + (bounds[i].is_signed ? signed_text(static_cast<int64_t>(number)) : unsigned_text(number));
  }
  return out;
}

// Facts in parentheses, separated by commas.
class Facts {
 public:
  void put(const std::string& text) {
    if (text.empty()) return;
    if (!out_.empty()) out_ += ",";
    out_ += text;
  }
  void put(const char* name, const std::string& value) { put(std::string(name) + "=" + value); }
  [[nodiscard]] std::string text() const { return "(" + out_ + ")"; }

 private:
  std::string out_;
};

void put_number(const Scalar& value, Facts* facts) {
  facts->put(bounds_text(value));
  if (value.bits.mask != ~0ull) facts->put("var_off", tnum_text(value.bits));
}

}  // namespace

std::string type_name(const Register& reg) {
  auto name = [&]() -> std::string {
    switch (reg.type) {
      case RegType::uninit: return "?";
      case RegType::scalar: return "scalar";
      case RegType::ctx: return "ctx";
      case RegType::stack: return "fp";
      case RegType::const_map: return "map_ptr";
      case RegType::map_key: return "map_key";
      case RegType::map_value: return "map_value";
      case RegType::packet: return "pkt";
      case RegType::packet_meta: return "pkt_meta";
      case RegType::packet_end: return "pkt_end";
      case RegType::memory: return reg.record ? "ringbuf_mem" : "mem";
      case RegType::socket: return "sock";
      case RegType::sock_common: return "sock_common";
      case RegType::tcp_sock: return "tcp_sock";
      case RegType::btf: return "trusted_ptr_";
      case RegType::function: return "func";
    }
    return "?";
  };
  return name() + (reg.or_null ? "_or_null" : "");
}

std::string tnum_text(Tnum bits) {
  if (bits.is_const()) return std::to_string(bits.value);
  char text[64];
  snprintf(text, sizeof text, "(0x%llx; 0x%llx)", static_cast<unsigned long long>(bits.value),
           static_cast<unsigned long long>(bits.mask));
  return text;
}

std::string register_text(const Register& reg, const std::vector<const Map*>& maps) {
  const bool fixed = reg.value.is_const();
  Facts facts;
  if (reg.type == RegType::uninit) return "?";
  if (reg.is_scalar()) {
    if (fixed) return signed_text(static_cast<int64_t>(reg.value.value()));
    if (reg.id != 0) facts.put("id", std::to_string(reg.id) + (reg.added ? "+" + std::to_string(reg.offset) : ""));
    put_number(reg.value, &facts);
    return "scalar" + facts.text();
  }
  if (reg.type == RegType::stack) {
    if (fixed) return "fp" + std::to_string(reg.offset);
    put_number(reg.value, &facts);
    return "fp" + facts.text();
  }
  if (reg.id != 0) facts.put("id", std::to_string(reg.id));
  if (reg.reference != 0) facts.put("ref_obj_id", std::to_string(reg.reference));
  if (reg.offset != 0) facts.put("off", std::to_string(reg.offset));
  if (reg.is_packet()) facts.put("r", std::to_string(reg.range));
  const bool of_map = reg.type == RegType::map_key || reg.type == RegType::map_value || reg.type == RegType::const_map;
  if (of_map) {
    const MapSpec& spec = maps[static_cast<size_t>(reg.map_index)]->spec();
    if (!spec.name.empty()) facts.put("map", spec.name);
    facts.put("ks", std::to_string(spec.key_size));
    facts.put("vs", std::to_string(spec.value_size));
  }
  if (reg.type == RegType::memory) facts.put("sz", std::to_string(reg.range));
  if (!fixed) put_number(reg.value, &facts);
  return type_name(reg) + facts.text();
}

void Analysis::log_insn() {
  if (log_.size() > kMaxLog) return;
  log_source();
  log_ += std::to_string(insn_) + ": " + disassemble(&program_->insns[insn_]);
}

// The source line, where it is not that of the instruction logged before.
void Analysis::log_source() {
  const auto& lines = input_.line_info;
  const auto next = std::ranges::upper_bound(lines, insn_, {}, &bpf_line_info::insn_off);
  if (next == lines.begin()) return;
  const bpf_line_info& line = *(next - 1);
  if (line.insn_off == last_line_) return;
  last_line_ = line.insn_off;
  std::string_view text = btf_.string(line.line_off);
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  std::string_view file = btf_.string(line.file_name_off);
  file = file.substr(file.rfind('/') + 1);
  log_ += "; " + std::string(text) + " @ " + std::string(file) + ":" +
          std::to_string(BPF_LINE_INFO_LINE_NUM(line.line_col)) + "\n";
}

// All registers and slots of a frame.
std::string Analysis::frame_text(uint32_t index) const {
  const Frame& frame = state_.frames[index];
  std::string out;
  if (index != 0) out += " frame" + std::to_string(index) + ":";
  for (uint32_t i = 0; i < kRegisters; i++) {
    if (frame.regs[i].type == RegType::uninit) continue;
    out += " R" + std::to_string(i) + "=" + register_text(frame.regs[i], maps_);
  }
  for (size_t i = 0; i < frame.stack.size(); i++) {
    const StackSlot& slot = frame.stack[i];
    std::string bytes;
    for (size_t byte = 8; byte-- > 0;) bytes += "?m0S"[static_cast<uint8_t>(slot.bytes[byte])];
    if (bytes == "????????") continue;
    out += " fp-" + std::to_string((i + 1) * 8) + "=" +
           (slot.spill_size() == 8 ? register_text(slot.spilled, maps_) : bytes);
  }
  return out;
}

void Analysis::log_everything() {
  if (log_.size() > kMaxLog) return;
  if (log_.empty() || log_.back() == '\n') log_ += std::to_string(insn_) + ":";
  log_ += frame_text(static_cast<uint32_t>(state_.frames.size() - 1)) + "\n";
}

// What the instruction at insn_ changed, in the column the kernel uses.
void Analysis::log_state() {
  if (log_.size() > kMaxLog) return;
  const size_t line = log_.rfind('\n') == std::string::npos ? 0 : log_.rfind('\n') + 1;
  const RegisterUse use = register_use(program_->insns[insn_]);
  const uint16_t shown = is_conditional_jump(program_->insns[insn_]) ? use.reads : use.writes;
  std::string facts;
  for (uint32_t i = 0; i < kRegisters; i++) {
    if ((shown >> i & 1) == 0 || reg(i).type == RegType::uninit) continue;
    facts += " R" + std::to_string(i) + "=" + register_text(reg(i), maps_);
  }
  if (!facts.empty()) {
    const size_t width = log_.size() - line;
    log_ += std::string(width < kStateColumn ? kStateColumn - width : 1, ' ') + ";" + facts;
  }
  log_ += "\n";
}

void Analysis::log_totals() {
  if (input_.log_level == 0) return;
  char text[200];
  if ((input_.log_level & kLogStats) != 0) {
    std::string depths;
    if (program_ != nullptr) {
      for (const Subprogram& sub : program_->subprograms) depths += "+" + std::to_string(sub.stack_depth);
    }
    if (!depths.empty()) log_ += "stack depth " + depths.substr(1) + "\n";
  }
  snprintf(text, sizeof text,
           "processed %llu insns (limit %u) max_states_per_insn %llu total_states %llu peak_states %llu mark_read 0\n",
           static_cast<unsigned long long>(processed_), kMaxVerifiedInsns,
           static_cast<unsigned long long>(pruner_.most_per_insn()), static_cast<unsigned long long>(pruner_.total()),
           static_cast<unsigned long long>(pruner_.peak()));
  log_ += text;
}

}  // namespace sluice::bpf
