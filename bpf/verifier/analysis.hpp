// One verification: walks every path of the program over the abstract machine. Split by what an
// instruction does: transfer_alu, transfer_branch, transfer_memory, packet, stack, transfer_call,
// arguments, subprograms, references; arrival, prune and loops decide which paths need no walking
// again, precision what they may forget.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "bpf/helpers/helper.hpp"
#include "bpf/progs/program_type.hpp"
#include "bpf/verifier/cfg.hpp"
#include "bpf/verifier/history.hpp"
#include "bpf/verifier/prune.hpp"
#include "bpf/verifier/state.hpp"
#include "bpf/verifier/subprogram_info.hpp"
#include "bpf/verifier/verifier.hpp"

namespace sluice::bpf {

enum class Access : uint8_t { read, write };

// The walk's answer to one instruction.
enum class Step : uint8_t { next, path_end, failed };

enum class Arrival : uint8_t { fresh, covered, failed };

inline constexpr int64_t kMaxVariableOffset = 1 << 29;  // Linux: BPF_MAX_VAR_OFF, BPF_MAX_VAR_SIZ

class Analysis {
 public:
  explicit Analysis(const VerifierInput& input) : input_(input), btf_(input.btf) {}
  VerifierResult run();

 private:
  struct Pending {
    State state;
    uint32_t insn;
    uint32_t from;
    int32_t path;
    uint32_t node;
    Checkpoint* parent;
    size_t log_size;
    uint32_t marks_since;
    uint32_t steps_since;
    size_t bytes;
  };
  // A decision on the way: a branch and its outcome, linked back to the one before.
  struct PathNode {
    uint32_t insn;
    int32_t before;
    bool taken;
    Register left;
  };
  // One call of a helper while its arguments are checked.
  struct Call {
    const Helper* helper = nullptr;
    int32_t map_index = -1;     // of the map argument
    int32_t callback = -1;      // subprogram
    int64_t constant_key = -1;  // of an array lookup
    uint64_t alloc_size = 0;
    uint64_t size_max = 0;      // of the size argument
    uint32_t released = 0;      // reference
    struct Written {
      uint32_t reg = 0;
      uint32_t size = 0;
    } written;                  // memory that the helper fills
  };
  struct Backtrack;
  // Where a path is: behind an instruction executed, before the next.
  struct Position {
    Checkpoint* parent;  // the last checkpoint passed
    uint32_t node;
    uint32_t insn;
  };
  // What the program does to a map's values.
  struct MapUse {
    bool otherwise = false;          // something else than adding
    std::vector<AddedField> fields;  // added to
  };
  using WrittenSlots = std::array<uint64_t, kMaxFrames + 1>;  // by frame, as Frame::written
  // A path that ended at a state whose own paths were unfinished: what turns out to matter there
  // matters to it.
  struct LoopEdge {
    Checkpoint* to;
    Position from;
    WrittenSlots written;
  };

  bool prepare();
  bool check_program();
  bool check_maps();
  bool check_map_use(const MapSpec& spec);
  bool explore(uint32_t subprogram);
  bool explore_globals();
  void enter(uint32_t subprogram);
  bool next_pending();
  bool push(uint32_t insn, State&& state);
  bool check_memory();
  Step step();
  Step step_jump(const Insn& insn);
  bool finish();

  // Pruning (arrival.cpp).
  Arrival arrive();
  void drop_single_ids(State* state);
  bool is_hit(Checkpoint* point, bool* loops);
  bool fail_loop(const State& before);
  void checkpoint();
  void waypoint();
  State copy_for_checkpoint();
  [[nodiscard]] Position position() const { return {parent_, path_node_, insn_}; }
  [[nodiscard]] WrittenSlots written_slots() const;

  // Loops whose paths are unfinished (loops.cpp).
  void close_loop(Checkpoint* to);
  void end_path();
  void settle_loops(Checkpoint* root);

  // Precision and liveness of what was stored (precision.cpp).
  void mark_precise(uint32_t reg);
  void mark_precise_slot(uint32_t frame, uint32_t slot);
  static void mark_all_precise(Checkpoint* last);
  void mark_checkpoint(Checkpoint* point, Backtrack* back);
  void follow_back(Backtrack* back, const Position& from);
  void follow_back_from_here(Backtrack* back);
  bool step_back(const HistoryNode& node, uint32_t next, Backtrack* back);
  void inherit(const Checkpoint* old, const Position& from, const WrittenSlots& written);
  void mark_slots_read(uint32_t frame, uint64_t slots);
  void mark_slots_live(uint32_t frame, uint64_t slots, Checkpoint* last);

  bool fail(int code, const char* format, ...) __attribute__((format(printf, 3, 4)));
  void fill_report(int code, const std::string& reason);
  [[nodiscard]] size_t log_end() const { return log_lost_ + log_.size(); }
  void log_subprograms();
  void log_insn();
  void log_covered();
  void log_changes();
  void log_source();
  void log_call();
  void log_return(const std::string& callee);
  [[nodiscard]] std::string source_of(uint32_t insn) const;
  // What of a frame is named by the bits, and all of it, each beginning with a space.
  [[nodiscard]] std::string state_text(const State& state, uint32_t frame, uint16_t regs,
                                       uint64_t slots) const;
  [[nodiscard]] std::string frame_text(const State& state, uint32_t frame) const;
  [[nodiscard]] std::string frame_text(uint32_t frame) const { return frame_text(state_, frame); }
  void log_totals();
  [[nodiscard]] bool logging() const { return (input_.log_level & 3) != 0; }
  [[nodiscard]] bool logging_paths() const;
  void mark_all_changed() {
    changed_regs_ = kAllRegs;
    changed_slots_ = ~0ull;
  }
  [[nodiscard]] uint32_t top_frame() const {
    return static_cast<uint32_t>(state_.frames.size() - 1);
  }

  // Registers.
  bool check_read(uint32_t reg);
  bool check_write(uint32_t reg);
  Register& reg(uint32_t index) { return state_.top().regs[index]; }
  Register operand(const Insn& insn);
  uint32_t fresh_id() { return ++last_id_; }
  void give_id(Register* number);
  void clobber_caller_saved();
  void note_slots(int32_t low, int32_t high);
  void put_on_stack_access(uint32_t frame, int32_t offset);

  bool transfer_alu(const Insn& insn);
  bool scalar_op(const Insn& insn, const Register& right);
  bool split_mask(const Insn& insn);
  bool move(const Insn& insn);
  void move_number(const Insn& insn);
  bool pointer_alu(const Insn& insn, uint32_t pointer_reg, const Register& pointer,
                   const Scalar& scalar, bool reversed);
  bool check_pointer_operand(uint8_t op, uint32_t regno, const Register& pointer,
                             const Scalar& scalar);
  bool check_sane_offset(const Register& pointer, const Scalar& scalar);

  Step transfer_branch(const Insn& insn);
  void mark_compared(const Insn& insn);
  Step follow_decided(const Insn& insn, bool taken);
  int decide(const Insn& insn, const Register& left, const Register& right);
  // Narrows `state_` to one side.
  void assume(const Insn& insn, bool taken);
  bool assume_null(const Insn& insn, bool taken);
  bool assume_packet(const Insn& insn, bool taken);
  void resolve_null(uint32_t id, bool null);
  void resolve_present(Register* pointer);
  void spread_scalar(const Register& known);
  void collect_linked(const Insn& insn);

  bool transfer_load(const Insn& insn);
  void load_result(const Insn& insn, const Register& pointer, uint32_t size, Register* out);
  bool transfer_store(const Insn& insn);
  bool transfer_atomic(const Insn& insn);
  bool transfer_load_imm64(const Insn& insn);
  bool load_function(const Insn& insn);
  bool transfer_packet_load(const Insn& insn);
  // Checks an access of `size` bytes at pointer + offset; records the fact.
  bool check_access(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size,
                    Access access, bool atomic);
  bool check_ctx(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size,
                 Access access);
  bool check_unmoved(uint32_t regno, const Register& pointer);
  // The bytes [pointer + offset, + size) lie in a region of `limit` bytes.
  bool check_region(uint32_t regno, const Register& pointer, int64_t offset, uint32_t size,
                    uint32_t limit);
  bool fail_region(uint32_t regno, const Register& pointer, int64_t offset, uint32_t size,
                   uint32_t limit, const char* which);
  bool check_map_value(uint32_t regno, const Register& pointer, int64_t offset, uint32_t size,
                       Access access);
  bool check_map_key(uint32_t regno, const Register& pointer, int64_t offset, uint32_t size,
                     Access access);
  bool check_packet(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size);
  bool check_socket(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size,
                    Access access);
  bool check_alignment(const Register& pointer, int32_t offset, uint32_t size, bool atomic);
  void forget_packet_pointers();
  void note_packet_range(const Register& pointer, bool open);
  static void mark_packet_end(Register* pointer, bool open);
  bool read_frozen(const Register& pointer, int32_t offset, uint32_t size, Register* out);

  bool check_stack(uint32_t regno, const Register& pointer, int32_t offset, uint32_t size,
                   Access access);
  void use_stack(const Register& pointer, int64_t low);
  bool read_stack(const Register& pointer, int32_t offset, uint32_t size, Register* out);
  bool fill_register(StackSlot* slot, uint32_t held, uint32_t size, Register* out);
  void mark_bytes_read(uint32_t frame, int32_t low, int32_t high);
  // value_reg: the register that `value` came from, -1: an immediate.
  bool write_stack(const Register& pointer, int32_t offset, uint32_t size, const Register& value,
                   int32_t value_reg);
  void write_anywhere(const Register& pointer, int32_t low, int32_t high, bool zero,
                      int32_t value_reg);
  // Bytes [low, high) of a frame get values that nothing is known of.
  void smudge_stack(uint32_t frame, int32_t low, int32_t high);
  void smudge_spills(uint32_t frame, int32_t low, int32_t high);
  bool constant_key(const Register& key, uint32_t size, uint64_t* value);

  bool transfer_helper(const Insn& insn);
  bool check_helper_allowed(const Helper* helper, uint32_t id);
  bool check_map_helper(const Helper& helper, int32_t map_index);
  bool check_special_call(const Insn& insn, Call* call);
  bool give_result(const Call& call);
  void give_reference(RegType type);
  void note_call(const Call& call);
  bool check_argument(uint32_t index, Call* call);
  bool check_argument_type(uint32_t index, const Call& call);
  bool check_map_argument(uint32_t index, Call* call);
  bool check_memory_argument(uint32_t regno, uint32_t size, Access access, bool zero_allowed,
                             const Call& call);
  bool check_stack_argument(uint32_t regno, uint32_t size, Access access);
  bool check_size_argument(uint32_t index, Call* call);
  bool check_fixed_argument(uint32_t regno, uint32_t size, bool written, bool aligned, Call* call);
  bool check_const_string(uint32_t regno);
  [[nodiscard]] const char* constant_text(const Register& pointer) const;
  void fill_written(const Call& call);
  bool fail_type(uint32_t regno, const char* expected);

  bool enter_subprogram(const Insn& insn);
  bool call_global(uint32_t subprogram);
  bool check_global_argument(uint32_t regno, const GlobalArgument& argument);
  bool push_callback(const Call& call);
  Step leave();
  Step leave_callback();
  Step leave_program();
  void widen(const State& before);
  bool check_depth();
  bool check_subprograms();

  // References and locks (references.cpp).
  uint32_t acquire();
  bool release(uint32_t id);
  bool check_nothing_held(const char* where);
  bool lock_or_unlock(uint32_t regno, bool lock);

  void note_access(Region region, int32_t offset, uint32_t frame_up, int32_t map_index,
                   bool aligned);
  void note_argument(uint32_t index, const Register& pointer, uint32_t size);
  void note_map(int32_t map_index);

  // Maps that are only added to (added.cpp).
  MapUse* use_of(int32_t map_index);
  void note_value_access(const Register& pointer, int32_t offset, uint32_t size);
  void note_other_use(const Register& pointer);
  void note_given_stack(uint32_t frame, int32_t low, int32_t high);
  void note_seen_as_numbers(const State& seen, bool all);
  void keep_uses();

  [[nodiscard]] const MapSpec& map_spec(int32_t index) const {
    return maps_[static_cast<size_t>(index)]->spec();
  }
  int16_t inner_map(int32_t index);

  const VerifierInput& input_;
  const ProgramType* type_ = nullptr;
  std::shared_ptr<AnnotatedProgram> program_;
  std::vector<const Map*> maps_;  // the input's, then the templates of inner maps
  Cfg cfg_;
  BtfTypes btf_;
  std::vector<SubprogramInfo> infos_;  // one a subprogram; empty without BTF
  std::vector<bool> reached_;   // per instruction slot: a path came there
  std::vector<uint8_t> noted_;  // per instruction: its fact has a value already
  std::vector<MapUse> uses_;    // per map of the program
  std::vector<uint8_t> tail_calls_;  // per subprogram: makes one
  std::vector<uint8_t> called_;      // per subprogram: global, and called
  std::vector<uint8_t> callback_;    // per subprogram: used as callback

  State state_;
  uint32_t insn_ = 0;
  uint32_t entry_ = 0;  // subprogram that this exploration began with
  std::vector<Pending> pending_;
  size_t pending_bytes_ = 0;
  Pruner pruner_;
  Checkpoint* parent_ = nullptr;  // the last checkpoint of the current path
  std::vector<LoopEdge> loop_edges_;    // in the order they were found
  std::vector<Checkpoint*> awaiting_;   // checkpoints with `awaits`
  uint64_t marks_made_ = 0;             // so that one can see whether there were new ones
  History history_;
  uint32_t path_node_ = kNoNode;
  uint32_t last_id_ = 0;
  std::vector<uint32_t> ids_;  // for the time of a call: not allocated each time
  uint64_t processed_ = 0;
  uint64_t jumps_ = 0;
  uint64_t last_processed_ = 0;  // at the last checkpoint made
  uint64_t last_jumps_ = 0;
  uint32_t marks_since_ = 0;  // jumps and stack accesses since the last checkpoint of this path
  uint32_t steps_since_ = 0;  // instructions since then
  int32_t path_ = -1;
  std::vector<PathNode> path_nodes_;
  const Helper* missing_body_ = nullptr;
  uint32_t missing_body_insn_ = 0;

  Report report_;
  std::string log_;
  // Of the log: what changed since the state was last written, where the last instruction's line
  // ends, the source line written last, and where the path that begins now branched off.
  static constexpr uint32_t kNowhere = UINT32_MAX;
  static constexpr uint16_t kAllRegs = (1u << kRegisters) - 1;
  uint16_t changed_regs_ = 0;
  uint64_t changed_slots_ = 0;
  size_t log_lost_ = 0;  // bytes of its beginning; positions count them
  size_t line_end_ = SIZE_MAX;
  uint32_t last_line_ = UINT32_MAX;
  uint32_t came_from_ = kNowhere;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

// Text of a variable offset as the kernel prints it: (0x0; 0xff).
std::string tnum_text(Tnum bits);
// A register of a frame as the kernel's log prints it: "scalar(umax=255)", "fp-8", "fp[0]-8",
// "map_value(ks=4,vs=8)".
std::string register_text(const Register& reg, const std::vector<const Map*>& maps, uint32_t frame);
// A stack slot: "mmmmmmmm", or the register that it holds behind what is above it; "" where nothing
// was written.
std::string slot_text(const StackSlot& slot, const std::vector<const Map*>& maps, uint32_t frame);
// What to do about a reason; may be empty.
std::string suggestion_for(const std::string& reason);

// Programs may not write to its elements.
bool is_read_only(const MapSpec& spec);
bool map_allows(uint32_t map_type, uint32_t helper);

}  // namespace sluice::bpf
