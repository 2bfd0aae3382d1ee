// Calls: of helpers (bodies from the bitcode, or the binary's by address) and of subprograms. A
// pointer into this frame at a constant offset is passed as a copy, so that a body that is not
// inlined does not pin the frame in memory.
#include "bpf/helpers/bodies_called.hpp"
#include "bpf/jit/lower.hpp"
#include "bpf/maps/map_bytes.hpp"
#include "bpf/progs/tail_target.hpp"

namespace sluice::bpf::jit {
namespace {

bool is_written(Arg kind) {
  return kind == Arg::uninit_mem || kind == Arg::write_mem || kind == Arg::write_mem_or_null ||
         kind == Arg::uninit_map_value || kind == Arg::long_out || kind == Arg::int_in_out;
}

// Memory whose size is among the facts; other pointers go as they are.
bool is_memory(Arg kind) {
  return is_written(kind) || kind == Arg::map_key || kind == Arg::map_value ||
         kind == Arg::map_value_or_null || kind == Arg::mem || kind == Arg::mem_or_null;
}

// The runtime's form of a map operation for a kind of map; null where the helper's body is called
// instead.
const char* runtime_name(uint32_t helper, uint32_t map_type, bool in_range, bool mask_indices) {
  const bool array = map_type == BPF_MAP_TYPE_ARRAY || map_type == BPF_MAP_TYPE_PERCPU_ARRAY;
  const bool per_cpu_hash =
      map_type == BPF_MAP_TYPE_PERCPU_HASH || map_type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
  const bool plain_hash = map_type == BPF_MAP_TYPE_HASH || map_type == BPF_MAP_TYPE_LRU_HASH;
  const bool hash = plain_hash || per_cpu_hash;
  switch (helper) {
    case BPF_FUNC_map_lookup_elem:
      if (array && mask_indices) return "sluice_rt_lookup_array_masked";
      if (array) return in_range ? "sluice_rt_array_at" : "sluice_rt_lookup_array";
      if (map_type == BPF_MAP_TYPE_LPM_TRIE) return "sluice_rt_lookup_lpm";
      return hash ? "sluice_rt_lookup_hash" : nullptr;
    case BPF_FUNC_map_update_elem:
      if (array) return "sluice_rt_update_array";
      if (plain_hash) return "sluice_rt_update_hash";
      return per_cpu_hash ? "sluice_rt_update_per_cpu_hash" : nullptr;
    case BPF_FUNC_map_delete_elem: return hash ? "sluice_rt_delete_hash" : nullptr;
    case BPF_FUNC_for_each_map_elem: return "sluice_rt_for_each";
    case BPF_FUNC_tail_call: return "sluice_rt_tail_call";
    default: return nullptr;
  }
}

}  // namespace

Status FunctionLowering::lower_call(uint32_t index) {
  const Insn& here = insn(index);
  if (is_local_call(here)) return lower_local_call(index);
  if (!is_helper_call(here))
    return unsupported(index, "a call of kind " + std::to_string(here.src_reg));
  const Helper* helper = find_helper(static_cast<uint32_t>(here.imm));
  if (helper == nullptr) return unsupported(index, "helper " + std::to_string(here.imm));
  if (helper->body == nullptr) return unsupported(index, "helper bpf_" + std::string(helper->name));
  return lower_helper(index, *helper);
}

Status FunctionLowering::lower_local_call(uint32_t index) {
  llvm::Function* callee = owner_.subprogram_at(jump_target(insn(index), index));
  if (callee == nullptr) return unsupported(index, "a call into the middle of a subprogram");
  std::vector<Value*> arguments{ctx_};
  for (uint32_t i = 1; i <= 5; i++) arguments.push_back(read(i));
  write(0, b_.CreateCall(callee, arguments));
  return {};
}

llvm::Value* FunctionLowering::memory_argument(uint32_t index, int argument, uint32_t size,
                                               bool copy_in) {
  const int32_t offset = fact(index).argument_stack_offset[argument];
  if (offset == kUnknownOffset || size == 0) {
    return b_.CreateIntToPtr(read(static_cast<uint32_t>(argument) + 1), b_.getPtrTy());
  }
  Value* copy = make_local(size);
  if (copy_in) b_.CreateMemCpy(copy, llvm::Align(1), stack_at(offset), llvm::Align(1), size);
  return copy;
}

llvm::Value* FunctionLowering::make_local(uint32_t size) {
  llvm::IRBuilder<> entry(&function_->getEntryBlock(), function_->getEntryBlock().begin());
  auto* local = entry.CreateAlloca(llvm::ArrayType::get(b_.getInt8Ty(), size));
  local->setAlignment(llvm::Align(8));
  return local;
}

// Of an update: memory that nobody else writes to, as hash_update wants it.
llvm::Value* FunctionLowering::own_key(uint32_t index, uint32_t size) {
  Value* key = memory_argument(index, 1, size, true);
  if (fact(index).argument_stack_offset[1] != kUnknownOffset || size > kChainBytes) return key;
  Value* copy = make_local(size);
  b_.CreateMemCpy(copy, llvm::Align(1), key, llvm::Align(1), size);
  return copy;
}

void FunctionLowering::copy_back(uint32_t index, int argument, Value* copy, uint32_t size) {
  const int32_t offset = fact(index).argument_stack_offset[argument];
  if (offset == kUnknownOffset || size == 0) return;
  b_.CreateMemCpy(stack_at(offset), llvm::Align(1), copy, llvm::Align(1), size);
}

// The map operations whose map is known and worth inlining take the form of its kind. Null: not one
// of them.
llvm::Value* FunctionLowering::call_map_operation(uint32_t index, const Helper& helper) {
  const int32_t map_index = fact(index).map_index;
  if (map_index < 0) return nullptr;
  const MapCore& core = owner_.program().maps[static_cast<size_t>(map_index)].core;
  const char* name = runtime_name(helper.id, core.type, fact(index).in_range,
                                  owner_.program().hardening.mask_indices);
  if (name == nullptr) return nullptr;
  llvm::Function* operation = owner_.map_operation(name, map_index);
  const auto key = [&] { return memory_argument(index, 1, core.key_size, true); };
  switch (helper.id) {
    case BPF_FUNC_map_lookup_elem:
      return b_.CreatePtrToInt(b_.CreateCall(operation, {ctx_, key()}), b_.getInt64Ty());
    case BPF_FUNC_map_update_elem: {
      Value* from = own_key(index, core.key_size);
      Value* value = memory_argument(index, 2, core.value_size, true);
      return b_.CreateCall(operation, {ctx_, from, value, read(4)});
    }
    case BPF_FUNC_map_delete_elem: return b_.CreateCall(operation, {ctx_, key()});
    case BPF_FUNC_for_each_map_elem:
      return b_.CreateCall(operation, {ctx_, read(2), read(3), read(4)});
    default: return b_.CreateCall(operation, {ctx_, read(3)});  // tail_call
  }
}

// R0 is the target or 0. The target runs in this frame's place: what it returns, this function
// returns.
void FunctionLowering::lower_tail_call() {
  auto* found = llvm::BasicBlock::Create(b_.getContext(), "tail_call", function_);
  auto* missed = llvm::BasicBlock::Create(b_.getContext(), "no_tail_call", function_);
  Value* target = b_.CreateIntToPtr(read(0), b_.getPtrTy());
  b_.CreateCondBr(b_.CreateIsNotNull(target), found, missed);
  b_.SetInsertPoint(found);
  Value* place = b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), target, offsetof(TailTarget, code));
  Value* code = b_.CreateAlignedLoad(b_.getPtrTy(), place, llvm::Align(8));
  auto* type = llvm::FunctionType::get(b_.getInt64Ty(), {b_.getPtrTy(), b_.getPtrTy()}, false);
  b_.CreateRet(b_.CreateCall(type, code, {ctx_, target}));
  b_.SetInsertPoint(missed);
}

Status FunctionLowering::lower_helper(uint32_t index, const Helper& helper) {
  Value* result = call_map_operation(index, helper);
  if (result == nullptr) result = call_body(index, helper);
  write(0, result);
  if (helper.id == BPF_FUNC_tail_call) lower_tail_call();
  return {};
}

llvm::Value* FunctionLowering::call_body(uint32_t index, const Helper& helper) {
  auto* i64 = b_.getInt64Ty();
  auto* type = llvm::FunctionType::get(i64, {b_.getPtrTy(), i64, i64, i64, i64, i64}, false);
  auto callee = owner_.module().getOrInsertFunction(std::string(helper.symbol), type);
  // A context whose address leaves the burst is in memory for every packet, not in registers.
  std::vector<Value*> arguments{
      is_context_free(helper.id) ? llvm::ConstantPointerNull::get(b_.getPtrTy()) : ctx_};
  Value* copies[5] = {};
  for (int i = 0; i < 5; i++) {
    const Arg kind = helper.arguments[static_cast<size_t>(i)];
    const uint32_t size = fact(index).argument_size[i];
    if (is_memory(kind)) {
      copies[i] = memory_argument(index, i, size, true);
      arguments.push_back(b_.CreatePtrToInt(copies[i], i64));
    } else {
      // What is printed follows the declared arguments, as far as the format goes; a register
      // nobody set is any number.
      const bool passed = kind != Arg::none || helper.id == BPF_FUNC_trace_printk;
      arguments.push_back(passed ? b_.CreateFreeze(read(static_cast<uint32_t>(i) + 1))
                                 : b_.getInt64(0));
    }
  }
  Value* result = b_.CreateCall(callee, arguments);
  for (int i = 0; i < 5; i++) {
    if (is_written(helper.arguments[static_cast<size_t>(i)]))
      copy_back(index, i, copies[i], fact(index).argument_size[i]);
  }
  return result;
}

}  // namespace sluice::bpf::jit
