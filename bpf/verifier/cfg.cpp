#include "bpf/verifier/cfg.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/limits.hpp"
#include "bpf/helpers/helper.hpp"
#include "bpf/isa/opcode.hpp"

namespace sluice::bpf {
namespace {

class Builder {
 public:
  Builder(const std::vector<Insn>& insns, Cfg* cfg)
      : insns_(insns), cfg_(cfg), count_(insns.size()) {}

  void build() {
    if (count_ == 0) return fail(EINVAL, 0, "empty program");
    if (count_ > kMaxInsns) {
      return fail(E2BIG, 0, "program of " + std::to_string(count_) + " instructions is too large");
    }
    find_second_slots();
    if (!find_subprograms() || !check_jumps() || !check_opcodes() || !check_reachable()) return;
    mark_prune_points();
    find_packet_changes();
    compute_liveness(insns_, cfg_);
  }

 private:
  void fail(int code, uint32_t insn, std::string reason) {
    cfg_->error = {code, insn, std::move(reason)};
  }
  bool refuse(uint32_t insn, std::string reason) {
    fail(EINVAL, insn, std::move(reason));
    return false;
  }

  void find_second_slots() {
    second_slot_.assign(count_ + 1, false);
    for (uint32_t i = 0; i < count_; i += insn_length(insns_[i]))
      second_slot_[i + 1] = is_load_imm64(insns_[i]);
  }

  bool check_opcodes() {
    cfg_->faulty.assign(count_, 0);
    for (uint32_t i = 0; i < count_; i += insn_length(insns_[i])) {
      if (auto fault = insn_fault(insns_, i)) {
        if (is_fault_of_dead_code(insns_, i)) return refuse(i, std::move(*fault));
        cfg_->faulty[i] = 1;
      }
    }
    return true;
  }

  bool find_subprograms() {
    std::vector<uint32_t> starts{0};
    for (uint32_t i = 0; i < count_; i += insn_length(insns_[i])) {
      if (is_call(insns_[i]) && insns_[i].src_reg == BPF_PSEUDO_KFUNC_CALL)
        return refuse(i, *insn_fault(insns_, i));
      if (!is_local_call(insns_[i]) && !loads_function(insns_[i])) continue;
      const int64_t target = callee_of(i);
      if (target < 0 || target >= static_cast<int64_t>(count_) || second_slot_[target]) {
        return refuse(i, "call to invalid destination");
      }
      starts.push_back(static_cast<uint32_t>(target));
    }
    std::sort(starts.begin(), starts.end());
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
    if (starts.size() > kMaxSubprograms) {
      fail(E2BIG, 0, "too many subprograms");
      return false;
    }
    cfg_->subprogram_of.resize(count_);
    for (size_t s = 0; s < starts.size(); s++) {
      const uint32_t end = s + 1 < starts.size() ? starts[s + 1] : static_cast<uint32_t>(count_);
      cfg_->subprograms.push_back({starts[s], end, 0});
      std::fill(cfg_->subprogram_of.begin() + starts[s], cfg_->subprogram_of.begin() + end,
                static_cast<uint16_t>(s));
    }
    return true;
  }

  bool check_jumps() {
    for (const Subprogram& sub : cfg_->subprograms) {
      uint32_t last = sub.start;
      for (uint32_t i = sub.start; i < sub.end; i += insn_length(insns_[i])) {
        last = i;
        const Insn& insn = insns_[i];
        if (!is_conditional_jump(insn) && !is_goto(insn)) continue;
        const int64_t target = jump_target(insn, i);
        if (target < sub.start || target >= sub.end) {
          return refuse(i, "jump out of range from insn " + std::to_string(i) + " to " +
                               std::to_string(target));
        }
      }
      if (!is_exit(insns_[last]) && !is_goto(insns_[last]))
        return refuse(last, "last insn is not an exit or jmp");
    }
    return true;
  }

  bool check_reachable() {
    std::vector<uint8_t> seen(count_, 0);
    std::vector<uint32_t> work{0};
    auto visit = [&](int64_t target) {
      if (seen[target] != 0) return;
      seen[target] = 1;
      work.push_back(static_cast<uint32_t>(target));
    };
    seen[0] = 1;
    while (!work.empty()) {
      const uint32_t i = work.back();
      work.pop_back();
      const Insn& insn = insns_[i];
      if (is_exit(insn)) continue;
      if (loads_function(insn)) visit(callee_of(i));
      if (is_local_call(insn) || is_conditional_jump(insn) || is_goto(insn))
        visit(jump_target(insn, i));
      if (!is_goto(insn)) visit(i + insn_length(insn));
    }
    for (uint32_t i = 0; i < count_; i += insn_length(insns_[i])) {
      if (seen[i] == 0) return refuse(i, "unreachable insn " + std::to_string(i));
      if (second_slot_[i + 1] && seen[i + 1] != 0) {
        return refuse(i, "jump into the middle of ldimm64 insn " + std::to_string(i));
      }
    }
    return true;
  }

  // Where paths meet or part, as in Linux. Every cycle holds one, so every path that does not end
  // meets these.
  void mark_prune_points() {
    cfg_->prune_point.assign(count_, 0);
    cfg_->forced.assign(count_, 0);
    for (uint32_t i = 0; i < count_; i += insn_length(insns_[i])) {
      const Insn& insn = insns_[i];
      const bool enters = is_local_call(insn) || loads_function(insn);
      if (is_conditional_jump(insn) || enters) cfg_->prune_point[i] = 1;
      if (is_call(insn) || enters) cfg_->prune_point[i + insn_length(insn)] = 1;
      if (enters) cfg_->prune_point[callee_of(i)] = 1;
      if (is_conditional_jump(insn) || is_goto(insn)) cfg_->prune_point[jump_target(insn, i)] = 1;
      if (!is_helper_call(insn)) continue;
      const Helper* helper = find_helper(static_cast<uint32_t>(insn.imm));
      if (helper == nullptr) continue;
      for (const Arg kind : helper->arguments) {
        if (kind == Arg::callback) cfg_->prune_point[i] = cfg_->forced[i] = 1;
      }
    }
  }

  void find_packet_changes() {
    cfg_->changes_packet.assign(cfg_->subprograms.size(), 0);
    for (bool changed = true; changed;) {
      changed = false;
      for (uint32_t i = 0; i < count_; i += insn_length(insns_[i])) {
        uint8_t& mine = cfg_->changes_packet[cfg_->subprogram_of[i]];
        if (mine != 0) continue;
        const Insn& insn = insns_[i];
        if (is_helper_call(insn)) {
          const Helper* helper = find_helper(static_cast<uint32_t>(insn.imm));
          // A tail call's target may do anything.
          mine = helper != nullptr && (helper->changes_packet || helper->id == BPF_FUNC_tail_call);
        } else if (is_local_call(insn) || loads_function(insn)) {
          mine = cfg_->changes_packet[cfg_->subprogram_of[callee_of(i)]];
        }
        changed = changed || mine != 0;
      }
    }
  }

  static bool loads_function(const Insn& insn) {
    return is_load_imm64(insn) && insn.src_reg == BPF_PSEUDO_FUNC;
  }
  [[nodiscard]] int64_t callee_of(uint32_t i) const {
    return is_local_call(insns_[i]) ? jump_target(insns_[i], i) : int64_t{i} + 1 + insns_[i].imm;
  }

  const std::vector<Insn>& insns_;
  Cfg* cfg_;
  size_t count_;
  std::vector<bool> second_slot_;
};

}  // namespace

Cfg build_cfg(const std::vector<Insn>& insns) {
  Cfg cfg;
  Builder(insns, &cfg).build();
  return cfg;
}

}  // namespace sluice::bpf
