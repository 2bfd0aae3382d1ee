// Programs annotated by hand, for what the engines do with facts, and R0 of a run on each engine.
#pragma once

#include <cerrno>
#include <memory>
#include <vector>

#include "bpf/progs/annotated_program.hpp"
#include "bpf/progs/packet_context.hpp"
#include "bpf/progs/tail_target.hpp"
#include "tests/unit/jit/insn_build.hpp"

namespace sluice::bpf {

// A subprogram starts at each of `starts`, which begins with 0.
std::shared_ptr<AnnotatedProgram> annotate(std::vector<Insn> insns,
                                           std::vector<uint32_t> starts = {0});
// Instruction `insn` accesses `region`, at `offset` if it is known.
void note(AnnotatedProgram& program, uint32_t insn, Region region, int32_t offset = kUnknownOffset);

struct BothResults {
  uint64_t interpreted = 0;
  uint64_t compiled = 0;
};
// The program on both engines, each on a packet of its own copy of the bytes. `packets` gets what
// they left of them.
BothResults run_both(const std::shared_ptr<AnnotatedProgram>& program,
                     const std::vector<uint8_t>& packet,
                     std::vector<std::vector<uint8_t>>* packets = nullptr);

// A prog_array of `entries` places; the test sets targets. Only its core is of use.
class TargetArray final : public Map {
 public:
  explicit TargetArray(uint32_t entries);
  void set(uint32_t index, const TailTarget* target) { targets_[index] = target; }
  int lookup(const void*, void*, uint64_t) override { return -ENOENT; }
  int update(const void*, const void*, uint64_t) override { return -EINVAL; }
  int erase(const void*) override { return -EINVAL; }
  int next_key(const void*, void*) override { return -ENOENT; }
  [[nodiscard]] uint64_t entries() const override { return targets_.size(); }
  [[nodiscard]] uint64_t memory_bytes() const override { return 0; }

 private:
  std::vector<const TailTarget*> targets_;
};

}  // namespace sluice::bpf
