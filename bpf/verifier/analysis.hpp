// One verification: walks every path of the program over the abstract machine. Split by what an instruction does:
// transfer_alu, transfer_branch, transfer_memory, stack, transfer_call; prune decides which paths need no walking again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bpf/helpers/helper.hpp"
#include "bpf/progs/program_type.hpp"
#include "bpf/verifier/cfg.hpp"
#include "bpf/verifier/prune.hpp"
#include "bpf/verifier/state.hpp"
#include "bpf/verifier/verifier.hpp"

namespace sluice::bpf {

enum class Access : uint8_t { read, write };

// The walk's answer to one instruction.
enum class Step : uint8_t { next, path_end, failed };

class Analysis {
 public:
  explicit Analysis(const VerifierInput& input) : input_(input) {}
  VerifierResult run();

 private:
  struct Pending {
    State state;
    uint32_t insn;
    int32_t path;
    Checkpoint* parent;
    size_t log_size;
    uint64_t insns_since;
    uint64_t jumps_since;
  };
  // A decision on the way: a branch and its outcome, linked back to the one before.
  struct PathNode {
    uint32_t insn;
    int32_t before;
    bool taken;
    RegType type;
    uint64_t umin, umax;
  };

  bool prepare();
  bool check_maps();
  bool explore();
  bool next_pending();
  Step step();
  Step step_jump(const Insn& insn);
  bool finish();

  bool fail(int code, const char* format, ...) __attribute__((format(printf, 3, 4)));
  void fill_report(int code, const std::string& reason);
  void log_insn();
  void log_state();
  void log_totals();

  // Registers.
  bool check_read(uint32_t reg);
  bool check_write(uint32_t reg);
  Register& reg(uint32_t index) { return state_.top().regs[index]; }
  Register operand(const Insn& insn);
  uint32_t fresh_id() { return ++last_id_; }
  void clobber_caller_saved();
  // Register of every frame and every whole spilled register.
  template <class Function>
  void for_each_register(Function&& function);

  bool transfer_alu(const Insn& insn);
  bool move(const Insn& insn);
  bool pointer_alu(const Insn& insn, uint32_t pointer_reg, const Register& pointer, const Scalar& scalar, bool reversed);
  bool check_pointer_operand(uint8_t op, uint32_t regno, const Register& pointer, const Scalar& scalar);
  bool check_sane_offset(const Register& pointer, const Scalar& scalar);

  Step transfer_branch(const Insn& insn);
  int decide(const Insn& insn, const Register& left, const Register& right);
  // Narrows `state_` to one side; false: that side cannot be.
  bool assume(const Insn& insn, bool taken);
  void resolve_null(uint32_t id, bool null);
  void spread_scalar(const Register& known);
  bool push(uint32_t insn, State&& state);

  bool transfer_load(const Insn& insn);
  bool transfer_store(const Insn& insn);
  bool transfer_atomic(const Insn& insn);
  bool transfer_load_imm64(const Insn& insn);
  bool transfer_packet_load(const Insn& insn);
  // Checks an access of `size` bytes at pointer + offset; records the fact.
  bool check_access(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size, Access access, bool atomic);
  bool check_ctx(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size, Access access);
  bool check_ctx_pointer(uint32_t regno, const Register& pointer);
  bool check_map_value(uint32_t regno, const Register& pointer, int64_t offset, uint32_t size, Access access);
  bool check_alignment(const Register& pointer, int32_t offset, uint32_t size, bool atomic);
  bool check_stack(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size, Access access);
  void use_stack(const Register& pointer, int64_t low);
  bool read_stack(const Register& pointer, int32_t offset, uint32_t size, Register* out);
  bool write_stack(const Register& pointer, int32_t offset, uint32_t size, const Register& value);
  // Bytes [low, high) of a frame get values that nothing is known of.
  void smudge_stack(uint32_t frame, int32_t low, int32_t high, bool zero);

  bool transfer_helper(const Insn& insn);
  bool check_helper_allowed(const Helper* helper, uint32_t id);
  bool check_argument(const Helper& helper, uint32_t index, int32_t* map_index);
  bool check_memory_argument(uint32_t regno, uint32_t size, Access access);
  bool check_size_argument(const Helper& helper, uint32_t index);
  void smudge_argument(uint32_t regno, uint32_t size);
  bool enter_subprogram(const Insn& insn);
  Step leave(const Insn& insn);
  bool check_depth();

  void note_access(Region region, int32_t offset, uint32_t frame_up, int32_t map_index);
  void note_argument(uint32_t index, const Register& pointer, uint32_t size);
  void note_map(int32_t map_index);

  const VerifierInput& input_;
  const ProgramType* type_ = nullptr;
  std::shared_ptr<AnnotatedProgram> program_;
  Cfg cfg_;
  std::vector<uint8_t> noted_;  // per instruction: its fact has a value already

  State state_;
  uint32_t insn_ = 0;
  std::vector<Pending> pending_;
  Pruner pruner_;
  Checkpoint* parent_ = nullptr;  // the last checkpoint of the current path
  uint32_t last_id_ = 0;
  uint64_t processed_ = 0;
  uint64_t insns_since_ = 0;  // since the last checkpoint on this path
  uint64_t jumps_since_ = 0;
  size_t peak_pending_ = 0;
  int32_t path_ = -1;
  std::vector<PathNode> path_nodes_;
  const Helper* missing_body_ = nullptr;
  uint32_t missing_body_insn_ = 0;

  Report report_;
  std::string log_;
};

template <class Function>
void Analysis::for_each_register(Function&& function) {
  for (Frame& frame : state_.frames) {
    for (Register& each : frame.regs) function(each);
    for (StackSlot& slot : frame.stack) {
      if (slot.bytes[0] == StackByte::spill) function(slot.spilled);
    }
  }
}

// Text of a variable offset as the kernel prints it: (0x0; 0xff).
std::string tnum_text(Tnum bits);
// A register as the kernel's log prints it: "scalar(umax=255)", "fp-8", "map_value(off=0,ks=4,vs=8,imm=0)".
std::string register_text(const Register& reg, const std::vector<std::shared_ptr<Map>>& maps);
// What to do about a reason; may be empty.
std::string suggestion_for(const std::string& reason);

}  // namespace sluice::bpf
