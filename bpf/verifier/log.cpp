// The log in the kernel's format (levels 1, 2 and 4 of BPF_PROG_LOAD), which tools read. What an
// instruction changed is written behind it when the next one is reached, as the kernel does: what
// ends a path is not followed by its state.
#include <algorithm>
#include <chrono>

#include "bpf/isa/disasm.hpp"
#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

// every path, with what only those who look for a fault in the verifier read
constexpr uint32_t kLogPaths = 2;
constexpr uint32_t kLogStats = 4;
constexpr uint32_t kLogFixed = 8;          // its beginning is what counts, else its end
constexpr size_t kMaxLog = 16u << 20;
constexpr size_t kStateColumn = 38;
constexpr size_t kStateStep = 8;

std::string number_text(uint64_t number) { return std::to_string(number); }

// Where the state begins behind an instruction's text of that length.
size_t state_column(size_t length) {
  return std::max(kStateColumn, (length + 5 + kStateStep - 1) / kStateStep * kStateStep - 2);
}

}  // namespace

bool Analysis::logging_paths() const { return (input_.log_level & kLogPaths) != 0; }

void Analysis::log_subprograms() {
  if (!logging_paths()) return;
  for (size_t i = 0; i < cfg_.subprograms.size(); i++) {
    log_ += "func#" + number_text(i) + " @" + number_text(cfg_.subprograms[i].start) + "\n";
  }
}

// Before an instruction: what the one before it did, the source line if it is another one, the
// instruction.
void Analysis::log_insn() {
  if (came_from_ != kNowhere) {
    if (logging_paths()) {
      log_ += "\nfrom " + number_text(came_from_) + " to " + number_text(insn_) + ":" +
              frame_text(top_frame()) + "\n";
    }
    came_from_ = kNowhere;
  }
  log_changes();
  log_source();
  log_ += number_text(insn_) + ": " + disassemble(&program_->insns[insn_]) + "\n";
  if (log_.size() > 2 * kMaxLog && (input_.log_level & kLogFixed) == 0) {
    log_lost_ += log_.size() - kMaxLog;
    log_.erase(0, log_.size() - kMaxLog);
  }
  line_end_ = log_end();
}

void Analysis::log_covered() {
  if (came_from_ != kNowhere) {
    log_ += "\nfrom " + number_text(came_from_) + " to ";
    came_from_ = kNowhere;
  }
  log_ += number_text(insn_) + ": safe\n";
}

// What has changed since the last time, behind the last instruction if nothing was logged after it.
void Analysis::log_changes() {
  if (changed_regs_ == 0 && changed_slots_ == 0) return;
  const std::string text = state_text(state_, top_frame(), changed_regs_, changed_slots_);
  if (log_end() == line_end_) {
    log_.pop_back();
    const size_t length = log_.size() - (log_.rfind('\n') + 1);
    log_ += std::string(state_column(length) - length, ' ') + ";" + text + "\n";
  } else {
    log_ += number_text(insn_) + ":" + text + "\n";
  }
  changed_regs_ = 0;
  changed_slots_ = 0;
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
          number_text(BPF_LINE_INFO_LINE_NUM(line.line_col)) + "\n";
}

std::string Analysis::state_text(const State& state, uint32_t index, uint16_t regs,
                                 uint64_t slots) const {
  const Frame& frame = state.frames[index];
  std::string out;
  if (index != 0) out += " frame" + number_text(index) + ":";
  for (uint32_t i = 0; i < kRegisters; i++) {
    if ((regs >> i & 1) == 0 || frame.regs[i].type == RegType::uninit) continue;
    out += " R" + number_text(i) + "=" + register_text(frame.regs[i], maps_, index);
  }
  for (size_t i = 0; i < frame.stack.size(); i++) {
    const std::string slot = slot_text(frame.stack[i], maps_, index);
    if ((slots >> i & 1) != 0 && !slot.empty())
      out += " fp-" + number_text((i + 1) * 8) + "=" + slot;
  }
  for (size_t i = 0; i < state.references.size(); i++) {
    out += (i == 0 ? " refs=" : ",") + number_text(state.references[i].id);
  }
  return out;
}

std::string Analysis::frame_text(const State& state, uint32_t index) const {
  return state_text(state, index, kAllRegs, ~0ull);
}

// The top two frames, when the upper one has just been made.
void Analysis::log_call() {
  log_ +=
      "caller:\n" + frame_text(top_frame() - 1) + "\ncallee:\n" + frame_text(top_frame()) + "\n";
  mark_all_changed();
}

void Analysis::log_return(const std::string& callee) {
  log_ += "returning from callee:\n" + callee + "\nto caller at " + number_text(insn_) + ":\n" +
          frame_text(top_frame()) + "\n";
}

void Analysis::log_totals() {
  if (input_.log_level == 0) return;
  if ((input_.log_level & kLogStats) != 0) {
    const auto spent = std::chrono::steady_clock::now() - began_;
    log_ += "verification time " +
            number_text(static_cast<uint64_t>(
                std::chrono::duration_cast<std::chrono::microseconds>(spent).count())) +
            " usec\nstack depth ";
    const auto& subprograms =
        program_->subprograms.empty() ? cfg_.subprograms : program_->subprograms;
    for (size_t i = 0; i < subprograms.size(); i++) {
      log_ += (i == 0 ? "" : "+") + number_text(subprograms[i].stack_depth);
    }
    log_ += subprograms.empty() ? "0\n" : "\n";
  }
  log_ += "processed " + number_text(processed_) + " insns (limit " +
          number_text(kMaxVerifiedInsns) + ") max_states_per_insn " +
          number_text(pruner_.most_per_insn()) + " total_states " + number_text(pruner_.total()) +
          " peak_states " + number_text(pruner_.peak()) + " mark_read 0\n";
}

}  // namespace sluice::bpf
