// Calls: of helpers (bodies from the bitcode, or the binary's by address) and of subprograms. A pointer into this frame
// at a constant offset is passed as a copy, so that a body that is not inlined does not pin the frame in memory.
#include "bpf/jit/lower.hpp"

namespace sluice::bpf::jit {

Status FunctionLowering::lower_call(uint32_t index) {
  const Insn& here = insn(index);
  if (is_local_call(here)) return lower_local_call(index);
  if (!is_helper_call(here)) return unsupported(index, "a call of kind " + std::to_string(here.src_reg));
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

llvm::Value* FunctionLowering::memory_argument(uint32_t index, int argument, uint32_t size, bool copy_in) {
  const int32_t offset = fact(index).argument_stack_offset[argument];
  if (offset == kUnknownOffset || size == 0) {
    return b_.CreateIntToPtr(read(static_cast<uint32_t>(argument) + 1), b_.getPtrTy());
  }
  llvm::IRBuilder<> entry(&function_->getEntryBlock(), function_->getEntryBlock().begin());
  auto* copy = entry.CreateAlloca(llvm::ArrayType::get(b_.getInt8Ty(), size));
  copy->setAlignment(llvm::Align(8));
  if (copy_in) b_.CreateMemCpy(copy, llvm::Align(1), stack_at(offset), llvm::Align(1), size);
  return copy;
}

void FunctionLowering::copy_back(uint32_t index, int argument, Value* copy, uint32_t size) {
  const int32_t offset = fact(index).argument_stack_offset[argument];
  if (offset == kUnknownOffset || size == 0) return;
  b_.CreateMemCpy(stack_at(offset), llvm::Align(1), copy, llvm::Align(1), size);
}

// The map operations whose map is known take the specialised form. Null: not one of them.
llvm::Value* FunctionLowering::call_map_operation(uint32_t index, const Helper& helper) {
  const int32_t map_index = fact(index).map_index;
  if (map_index < 0) return nullptr;
  const MapCore& core = owner_.program().maps[static_cast<size_t>(map_index)]->core();
  switch (helper.id) {
    case BPF_FUNC_map_lookup_elem: {
      auto* operation = owner_.map_operation("sluice_rt_map_lookup", map_index);
      Value* value = b_.CreateCall(operation, {ctx_, memory_argument(index, 1, core.key_size, true)});
      return b_.CreatePtrToInt(value, b_.getInt64Ty());
    }
    case BPF_FUNC_map_update_elem: {
      auto* operation = owner_.map_operation("sluice_rt_map_update", map_index);
      Value* key = memory_argument(index, 1, core.key_size, true);
      Value* value = memory_argument(index, 2, core.value_size, true);
      return b_.CreateCall(operation, {ctx_, key, value, read(4)});
    }
    case BPF_FUNC_map_delete_elem: {
      auto* operation = owner_.map_operation("sluice_rt_map_delete", map_index);
      return b_.CreateCall(operation, {ctx_, memory_argument(index, 1, core.key_size, true)});
    }
    default: return nullptr;
  }
}

Status FunctionLowering::lower_helper(uint32_t index, const Helper& helper) {
  if (Value* result = call_map_operation(index, helper); result != nullptr) {
    write(0, result);
    return {};
  }
  auto* i64 = b_.getInt64Ty();
  auto* type = llvm::FunctionType::get(i64, {b_.getPtrTy(), i64, i64, i64, i64, i64}, false);
  auto callee = owner_.module().getOrInsertFunction(std::string(helper.symbol), type);
  std::vector<Value*> arguments{ctx_};
  Value* copies[5] = {};
  for (int i = 0; i < 5; i++) {
    const Arg kind = helper.arguments[static_cast<size_t>(i)];
    const bool memory = kind == Arg::map_key || kind == Arg::map_value || kind == Arg::mem ||
                        kind == Arg::mem_or_null || kind == Arg::uninit_mem;
    const uint32_t size = fact(index).argument_size[i];
    if (memory) {
      copies[i] = memory_argument(index, i, size, true);
      arguments.push_back(b_.CreatePtrToInt(copies[i], i64));
    } else {
      arguments.push_back(kind == Arg::none ? b_.getInt64(0) : read(static_cast<uint32_t>(i) + 1));
    }
  }
  write(0, b_.CreateCall(callee, arguments));
  for (int i = 0; i < 5; i++) {
    const bool written = helper.arguments[static_cast<size_t>(i)] == Arg::uninit_mem;
    if (written) copy_back(index, i, copies[i], fact(index).argument_size[i]);
  }
  return {};
}

}  // namespace sluice::bpf::jit
