// Loads, stores, atomics and packet loads. What an access becomes depends on the region the verifier proved:
// - stack of this frame at a constant offset: the frame's alloca, so that it dissolves into registers;
// - ctx: the runtime's accessor, which folds to one field;
// - else the register's value as an address. Such loads are volatile: another worker may write the same map value, and
//   LLVM must not read it a second time after a check (LLVM's unordered atomics would do, but need an alignment that is
//   not among the facts). x86 makes them one instruction each.
#include "bpf/jit/lower.hpp"

#include "base/limits.hpp"
#include "bpf/isa/opcode_new.hpp"

namespace sluice::bpf::jit {

bool FunctionLowering::own_stack(uint32_t index) const {
  const InsnFact& known = fact(index);
  return known.region == Region::stack && known.offset != kUnknownOffset && known.frame_up == 0;
}

llvm::Value* FunctionLowering::stack_at(int32_t offset) {
  return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), stack_, static_cast<uint64_t>(int64_t{kMaxStack} + offset));
}

llvm::Value* FunctionLowering::address(uint32_t index, uint32_t base_register) {
  if (own_stack(index)) return stack_at(fact(index).offset);
  Value* at = b_.CreateAdd(read(base_register), imm(insn(index).off));
  return b_.CreateIntToPtr(at, b_.getPtrTy());
}

llvm::Value* FunctionLowering::load_ctx(uint32_t offset, uint32_t size) {
  const auto word = [&](uint32_t at) {
    return b_.CreateZExt(b_.CreateCall(runtime("sluice_rt_ctx_load"), {ctx_, b_.getInt32(at)}), b_.getInt64Ty());
  };
  Value* value = word(offset & ~3u);
  if (size == 8) return b_.CreateOr(value, b_.CreateShl(word(offset + 4), 32));
  value = b_.CreateLShr(value, (offset & 3) * 8);
  return b_.CreateTrunc(value, b_.getIntNTy(size * 8));
}

void FunctionLowering::store_ctx(uint32_t offset, uint32_t size, Value* value) {
  const auto put = [&](uint32_t at, Value* word) {
    b_.CreateCall(runtime("sluice_rt_ctx_store"), {ctx_, b_.getInt32(at), b_.CreateTrunc(word, b_.getInt32Ty())});
  };
  if (size == 8) {
    put(offset, value);
    put(offset + 4, b_.CreateLShr(value, 32));
    return;
  }
  if (size == 4) return put(offset, value);
  const uint32_t shift = (offset & 3) * 8;
  const uint64_t mask = ((uint64_t{1} << (size * 8)) - 1) << shift;
  Value* old = b_.CreateAnd(b_.CreateZExt(load_ctx(offset & ~3u, 4), b_.getInt64Ty()), b_.getInt64(~mask));
  Value* added = b_.CreateAnd(b_.CreateShl(b_.CreateZExt(value, b_.getInt64Ty()), shift), b_.getInt64(mask));
  put(offset & ~3u, b_.CreateOr(old, added));
}

Status FunctionLowering::lower_load(uint32_t index) {
  const Insn& here = insn(index);
  const uint32_t size = access_size(here);
  auto* type = b_.getIntNTy(size * 8);
  Value* value = nullptr;
  if (fact(index).region == Region::ctx) {
    if (fact(index).offset == kUnknownOffset) return unsupported(index, "a context access at a variable offset");
    value = load_ctx(static_cast<uint32_t>(fact(index).offset), size);
  } else {
    const bool shared = fact(index).region != Region::stack && fact(index).region != Region::packet;
    value = b_.CreateAlignedLoad(type, address(index, here.src_reg), llvm::Align(1), shared);
  }
  const bool sign_extend = insn_mode(here) == kModeMemSx;
  if (!sign_extend && insn_mode(here) != BPF_MEM) return unsupported(index, "load mode " + std::to_string(here.code));
  write(here.dst_reg, sign_extend ? b_.CreateSExt(value, b_.getInt64Ty()) : b_.CreateZExt(value, b_.getInt64Ty()));
  return {};
}

Status FunctionLowering::lower_store(uint32_t index) {
  const Insn& here = insn(index);
  if (insn_mode(here) != BPF_MEM) return unsupported(index, "store mode " + std::to_string(here.code));
  Value* value = insn_class(here) == BPF_ST ? imm(here.imm) : read(here.src_reg);
  return store_value(index, b_.CreateTrunc(value, b_.getIntNTy(access_size(here) * 8)));
}

Status FunctionLowering::store_value(uint32_t index, Value* value) {
  if (fact(index).region == Region::ctx) {
    if (fact(index).offset == kUnknownOffset) return unsupported(index, "a context access at a variable offset");
    store_ctx(static_cast<uint32_t>(fact(index).offset), access_size(insn(index)), value);
    return {};
  }
  b_.CreateAlignedStore(value, address(index, insn(index).dst_reg), llvm::Align(1));
  return {};
}

// A frame of its own is seen by this thread alone: a plain exchange, which leaves the frame in registers.
llvm::Value* FunctionLowering::compare_exchange(Value* pointer, Value* expected, Value* desired, llvm::Align align,
                                                bool own) {
  if (own) {
    Value* old = b_.CreateAlignedLoad(expected->getType(), pointer, llvm::Align(1));
    b_.CreateAlignedStore(b_.CreateSelect(b_.CreateICmpEQ(old, expected), desired, old), pointer, llvm::Align(1));
    return old;
  }
  const auto order = llvm::AtomicOrdering::SequentiallyConsistent;
  return b_.CreateExtractValue(b_.CreateAtomicCmpXchg(pointer, expected, desired, align, order, order), 0);
}

llvm::Value* FunctionLowering::atomic_value(const Insn& insn, Value* pointer, Value* operand, bool own) {
  const llvm::Align align(access_size(insn));
  auto operation = llvm::AtomicRMWInst::BAD_BINOP;
  switch (insn.imm & ~BPF_FETCH) {
    case BPF_ADD: operation = llvm::AtomicRMWInst::Add; break;
    case BPF_OR: operation = llvm::AtomicRMWInst::Or; break;
    case BPF_AND: operation = llvm::AtomicRMWInst::And; break;
    case BPF_XOR: operation = llvm::AtomicRMWInst::Xor; break;
    case BPF_XCHG & ~BPF_FETCH: operation = llvm::AtomicRMWInst::Xchg; break;
    default: return nullptr;
  }
  if (!own) {
    const auto order = (insn.imm & BPF_FETCH) != 0 ? llvm::AtomicOrdering::SequentiallyConsistent
                                                   : llvm::AtomicOrdering::Monotonic;
    return b_.CreateAtomicRMW(operation, pointer, operand, align, order);
  }
  Value* old = b_.CreateAlignedLoad(operand->getType(), pointer, llvm::Align(1));
  Value* updated = operand;
  if (operation == llvm::AtomicRMWInst::Add) updated = b_.CreateAdd(old, operand);
  if (operation == llvm::AtomicRMWInst::Or) updated = b_.CreateOr(old, operand);
  if (operation == llvm::AtomicRMWInst::And) updated = b_.CreateAnd(old, operand);
  if (operation == llvm::AtomicRMWInst::Xor) updated = b_.CreateXor(old, operand);
  b_.CreateAlignedStore(updated, pointer, llvm::Align(1));
  return old;
}

Status FunctionLowering::lower_atomic(uint32_t index) {
  const Insn& here = insn(index);
  auto* type = b_.getIntNTy(access_size(here) * 8);
  if (access_size(here) < 4) return unsupported(index, "an atomic of " + std::to_string(access_size(here)) + " bytes");
  if (fact(index).region == Region::ctx) return unsupported(index, "an atomic on the context");
  Value* pointer = address(index, here.dst_reg);
  Value* operand = b_.CreateTrunc(read(here.src_reg), type);
  if (here.imm == BPF_CMPXCHG) {
    Value* expected = b_.CreateTrunc(read(0), type);
    const llvm::Align align(access_size(here));
    Value* old = compare_exchange(pointer, expected, operand, align, own_stack(index));
    write(0, b_.CreateZExt(old, b_.getInt64Ty()));
    return {};
  }
  Value* old = atomic_value(here, pointer, operand, own_stack(index));
  if (old == nullptr) return unsupported(index, "atomic operation " + std::to_string(here.imm));
  if ((here.imm & BPF_FETCH) != 0) write(here.src_reg, b_.CreateZExt(old, b_.getInt64Ty()));
  return {};
}

// Out of range ends the program, not the subprogram, with 0: only the main program may have packet loads.
Status FunctionLowering::lower_packet_load(uint32_t index) {
  const Insn& here = insn(index);
  if (!main_) return unsupported(index, "a packet load in a subprogram");
  Value* offset = imm(here.imm, 32);
  if (insn_mode(here) == BPF_IND) {
    offset = b_.CreateAdd(offset, b_.CreateTrunc(read(here.src_reg), b_.getInt32Ty()));
  }
  llvm::IRBuilder<> entry(&function_->getEntryBlock(), function_->getEntryBlock().begin());
  Value* slot = entry.CreateAlloca(b_.getInt32Ty());
  Value* loaded = b_.CreateCall(runtime("sluice_rt_packet_load"), {ctx_, offset, b_.getInt32(access_size(here)), slot});
  auto* next = llvm::BasicBlock::Create(b_.getContext(), "loaded", function_);
  b_.CreateCondBr(b_.CreateIsNotNull(loaded), next, dead_end());
  b_.SetInsertPoint(next);
  write(0, b_.CreateZExt(b_.CreateLoad(b_.getInt32Ty(), slot), b_.getInt64Ty()));
  return {};
}

}  // namespace sluice::bpf::jit
