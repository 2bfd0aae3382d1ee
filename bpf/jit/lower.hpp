// One verified program -> LLVM IR: a function `i64 name(ptr ctx)` for the main program and one
// `i64 name.N(ptr ctx, i64 r1..r5)` for each other subprogram. Internal to the JIT; includes LLVM.
//
// Registers become allocas of i64, the frame an alloca of 512 zeroed bytes; SROA dissolves both
// where the verifier's facts give every access a constant offset. Nothing here re-derives a fact.
// Wrapping arithmetic only (no nsw, nuw).
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "bpf/helpers/helper.hpp"
#include "bpf/jit/image.hpp"

namespace sluice::bpf::jit {

// The functions of one program in a module that already holds the runtime's bitcode.
class ProgramLowering {
 public:
  ProgramLowering(llvm::Module& module, const ProgramImage& program, std::string prefix);
  // Returns the main program's function. EOPNOTSUPP names the instruction.
  Result<llvm::Function*> lower();
  // `i64 name.slice(ptr ctx)`, after lower(): what sluice_rt_prefetch_element takes, or 0.
  // lower_slice.cpp.
  Result<llvm::Function*> lower_slice(int32_t map_index);

  [[nodiscard]] llvm::Module& module() { return module_; }
  [[nodiscard]] const ProgramImage& program() const { return program_; }
  // The function of the subprogram that starts at `insn`; null: none does.
  [[nodiscard]] llvm::Function* subprogram_at(int64_t insn);
  // Of the one with that number, as an address that a helper calls back. Null: there is none, or it
  // is the main program.
  [[nodiscard]] llvm::Function* callback(uint32_t subprogram);
  // The key that the next immediate is blinded with; 0: immediates are not blinded.
  uint64_t next_blinding_key();
  // A runtime map operation bound to one map: the shape is a constant that the optimiser folds.
  llvm::Function* map_operation(const char* runtime_name, int32_t map_index);
  // The map's PrivateCopies as a constant; null: there are none.
  llvm::Constant* private_copies(int32_t map_index);

 private:
  llvm::Function* declare(size_t index);
  [[nodiscard]] size_t calls_of(uint32_t start) const;
  llvm::Constant* map_constant(int32_t map_index);
  llvm::Constant* constant_pointer(const void* address);
  llvm::Constant* add_constant(llvm::ArrayRef<llvm::Constant*> fields, const std::string& name);

  llvm::Module& module_;
  const ProgramImage& program_;
  std::string prefix_;
  std::vector<llvm::Function*> functions_;  // one a subprogram
  uint64_t blinding_state_;
  std::map<int32_t, llvm::Constant*> cores_;
  std::map<int32_t, llvm::Constant*> copies_;
  std::map<std::pair<std::string, int32_t>, llvm::Function*> map_operations_;
};

// The largest hash map of the program's, if it is one that prefetching pays for when it is full;
// else -1.
int32_t prefetched_map(const ProgramImage& program);

// One subprogram's body.
class FunctionLowering {
 public:
  // slice_of: the map whose first use a slice is made for; -1: the whole function.
  FunctionLowering(ProgramLowering& owner, const Subprogram& subprogram, llvm::Function* function,
                   bool main, int32_t slice_of = -1);
  Status lower();

 private:
  using Value = llvm::Value;

  // lower.cpp
  void make_entry();
  void find_blocks();
  Status lower_insn(uint32_t index);
  Status lower_jump(uint32_t index);
  Status lower_load_imm64(uint32_t index);
  llvm::BasicBlock* leaving();  // with 0, from the middle
  [[nodiscard]] tl::unexpected<Error> unsupported(uint32_t index, const std::string& what) const;
  Value* read(uint32_t reg);
  void write(uint32_t reg, Value* value);
  // A number that the program's author chose, sign-extended to `bits`; blinded where that is asked
  // for.
  Value* immediate(int64_t value, unsigned bits = 64);
  llvm::FunctionCallee runtime(const char* name);
  const Insn& insn(uint32_t index) const { return owner_.program().insns[index]; }
  const InsnFact& fact(uint32_t index) const { return owner_.program().facts[index]; }

  // lower_slice.cpp
  bool ends_slice(uint32_t index) const;
  bool lower_slice_end(uint32_t index);

  // lower_alu.cpp
  Status lower_alu(uint32_t index);
  Value* byte_swap(const Insn& insn, Value* value);
  Value* divide(bool is_signed, bool remainder, Value* left, Value* right);
  Value* move(const Insn& insn, Value* source, unsigned bits);
  Value* condition(const Insn& insn);

  // lower_memory.cpp
  Status lower_load(uint32_t index);
  Status lower_store(uint32_t index);
  Status lower_atomic(uint32_t index);
  Status lower_ordered(uint32_t index);
  Status lower_packet_load(uint32_t index);
  Status store_value(uint32_t index, Value* value);
  Value* address(uint32_t index, uint32_t base_register);
  Value* stack_at(int32_t offset);
  bool own_stack(uint32_t index) const;
  Value* load_ctx(uint32_t offset, uint32_t size);
  Value* load_plain(uint32_t index, uint32_t size);
  Value* atomic_value(const Insn& insn, Value* pointer, Value* operand, bool own);
  bool add_to_copy(uint32_t index, Value* pointer, Value* operand);
  Value* compare_exchange(Value* pointer, Value* expected, Value* desired, llvm::Align align,
                          bool own);

  // lower_call.cpp
  Status lower_call(uint32_t index);
  Status lower_local_call(uint32_t index);
  Status lower_helper(uint32_t index, const Helper& helper);
  Value* call_map_operation(uint32_t index, const Helper& helper);
  Value* call_body(uint32_t index, const Helper& helper);
  void lower_tail_call();
  Value* memory_argument(uint32_t index, int argument, uint32_t size, bool copy_in);
  Value* make_local(uint32_t size);
  Value* own_key(uint32_t index, uint32_t size);
  void copy_back(uint32_t index, int argument, Value* copy, uint32_t size);

  ProgramLowering& owner_;
  const Subprogram& subprogram_;
  llvm::Function* function_;
  bool main_;
  int32_t slice_of_;
  llvm::IRBuilder<> b_;
  llvm::Value* ctx_ = nullptr;
  llvm::AllocaInst* stack_ = nullptr;
  llvm::Value* frame_pointer_ = nullptr;
  llvm::AllocaInst* registers_[kRegisters] = {};
  std::map<int64_t, llvm::BasicBlock*> blocks_;
  llvm::BasicBlock* leaving_ = nullptr;
};

}  // namespace sluice::bpf::jit
