// Loads, stores, atomics and packet loads. What an access becomes depends on the region the
// verifier proved:
// - stack of this frame at a constant offset: the frame's alloca, so that it dissolves into
//   registers;
// - ctx: the runtime's accessor, which folds to one field;
// - packet: an address that this worker alone reads and writes;
// - a counter in an array that is only added to: a copy of the worker's own
//   (maps/private_copies.hpp);
// - else an address that another worker may write: unordered atomics, which are never split or
//   read a second time after a check; volatile where the access may not be aligned. x86 makes
//   either one instruction.
#include "bpf/jit/lower.hpp"

#include "base/limits.hpp"
#include "bpf/isa/opcode_new.hpp"

namespace sluice::bpf::jit {

bool FunctionLowering::own_stack(uint32_t index) const {
  const InsnFact& known = fact(index);
  return known.region == Region::stack && known.offset != kUnknownOffset && known.frame_up == 0;
}

llvm::Value* FunctionLowering::stack_at(int32_t offset) {
  return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), stack_,
                                       static_cast<uint64_t>(int64_t{kMaxStack} + offset));
}

llvm::Value* FunctionLowering::address(uint32_t index, uint32_t base_register) {
  if (own_stack(index)) return stack_at(fact(index).offset);
  Value* at = b_.CreateAdd(read(base_register),
                           b_.getInt64(static_cast<uint64_t>(int64_t{insn(index).off})));
  return b_.CreateIntToPtr(at, b_.getPtrTy());
}

llvm::Value* FunctionLowering::load_ctx(uint32_t offset, uint32_t size) {
  if (owner_.program().type == BPF_PROG_TYPE_XDP) {
    return b_.CreateCall(runtime("sluice_rt_xdp_load"), {ctx_, b_.getInt32(offset)});
  }
  return b_.CreateCall(runtime("sluice_rt_ctx_read"),
                       {ctx_, b_.getInt32(offset), b_.getInt32(size)});
}

llvm::Value* FunctionLowering::load_plain(uint32_t index, uint32_t size) {
  const InsnFact& known = fact(index);
  auto* type = b_.getIntNTy(size * 8);
  Value* from = address(index, insn(index).src_reg);
  const bool shared = known.region != Region::stack && known.region != Region::packet;
  const bool atomic = shared && known.aligned;
  auto* load = b_.CreateAlignedLoad(type, from, llvm::Align(atomic ? size : 1), shared && !atomic);
  if (atomic) load->setAtomic(llvm::AtomicOrdering::Unordered);
  return load;
}

Status FunctionLowering::lower_load(uint32_t index) {
  const Insn& here = insn(index);
  const uint32_t size = access_size(here);
  const bool sign_extend = insn_mode(here) == kModeMemSx;
  if (!sign_extend && insn_mode(here) != BPF_MEM)
    return unsupported(index, "load mode " + std::to_string(here.code));
  Value* value = nullptr;
  if (fact(index).region == Region::ctx) {
    if (fact(index).offset == kUnknownOffset)
      return unsupported(index, "a context access at a variable offset");
    value = load_ctx(static_cast<uint32_t>(fact(index).offset), size);
    if (sign_extend) value = b_.CreateTrunc(value, b_.getIntNTy(size * 8));
  } else {
    value = load_plain(index, size);
  }
  write(here.dst_reg, sign_extend ? b_.CreateSExt(value, b_.getInt64Ty())
                                  : b_.CreateZExt(value, b_.getInt64Ty()));
  return {};
}

Status FunctionLowering::lower_store(uint32_t index) {
  const Insn& here = insn(index);
  if (insn_mode(here) != BPF_MEM)
    return unsupported(index, "store mode " + std::to_string(here.code));
  return store_value(index, insn_class(here) == BPF_ST ? immediate(here.imm) : read(here.src_reg));
}

Status FunctionLowering::store_value(uint32_t index, Value* value) {
  const InsnFact& known = fact(index);
  const uint32_t size = access_size(insn(index));
  if (known.region == Region::ctx) {
    if (known.offset == kUnknownOffset)
      return unsupported(index, "a context access at a variable offset");
    b_.CreateCall(
        runtime("sluice_rt_ctx_write"),
        {ctx_, b_.getInt32(static_cast<uint32_t>(known.offset)), b_.getInt32(size), value});
    return {};
  }
  const bool shared = known.region != Region::stack && known.region != Region::packet;
  Value* narrow = b_.CreateTrunc(value, b_.getIntNTy(size * 8));
  const bool atomic = shared && known.aligned;
  auto* store = b_.CreateAlignedStore(narrow, address(index, insn(index).dst_reg),
                                      llvm::Align(atomic ? size : 1), shared && !atomic);
  if (atomic) store->setAtomic(llvm::AtomicOrdering::Unordered);
  return {};
}

// A frame of its own is seen by this thread alone: a plain exchange, which leaves the frame in
// registers.
llvm::Value* FunctionLowering::compare_exchange(Value* pointer, Value* expected, Value* desired,
                                                llvm::Align align, bool own) {
  if (own) {
    Value* old = b_.CreateAlignedLoad(expected->getType(), pointer, llvm::Align(1));
    b_.CreateAlignedStore(b_.CreateSelect(b_.CreateICmpEQ(old, expected), desired, old), pointer,
                          llvm::Align(1));
    return old;
  }
  const auto order = llvm::AtomicOrdering::SequentiallyConsistent;
  return b_.CreateExtractValue(
      b_.CreateAtomicCmpXchg(pointer, expected, desired, align, order, order), 0);
}

llvm::Value* FunctionLowering::atomic_value(const Insn& insn, Value* pointer, Value* operand,
                                            bool own) {
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

// Where the map has copies, and the verifier says that all the program does to it is adding.
bool FunctionLowering::add_to_copy(uint32_t index, Value* pointer, Value* operand) {
  const InsnFact& known = fact(index);
  if (insn(index).imm != BPF_ADD || known.region != Region::map_value || !known.aligned)
    return false;
  if (known.map_index < 0) return false;
  llvm::Constant* copies = owner_.private_copies(known.map_index);
  if (copies == nullptr) return false;
  const char* name = access_size(insn(index)) == 8 ? "sluice_rt_add_8" : "sluice_rt_add_4";
  b_.CreateCall(runtime(name), {ctx_, copies, pointer, operand});
  return true;
}

Status FunctionLowering::lower_atomic(uint32_t index) {
  const Insn& here = insn(index);
  auto* type = b_.getIntNTy(access_size(here) * 8);
  if (here.imm == kLoadAcquire || here.imm == kStoreRelease) return lower_ordered(index);
  if (access_size(here) < 4)
    return unsupported(index, "an atomic of " + std::to_string(access_size(here)) + " bytes");
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
  if (add_to_copy(index, pointer, operand)) return {};
  Value* old = atomic_value(here, pointer, operand, own_stack(index));
  if (old == nullptr) return unsupported(index, "atomic operation " + std::to_string(here.imm));
  if ((here.imm & BPF_FETCH) != 0) write(here.src_reg, b_.CreateZExt(old, b_.getInt64Ty()));
  return {};
}

// BPF_LOAD_ACQ and BPF_STORE_REL. The kernel refuses them unaligned, and so does the verifier.
Status FunctionLowering::lower_ordered(uint32_t index) {
  const Insn& here = insn(index);
  const uint32_t size = access_size(here);
  const bool loads = here.imm == kLoadAcquire;
  if (fact(index).region == Region::ctx) return unsupported(index, "an atomic on the context");
  Value* at = address(index, loads ? here.src_reg : here.dst_reg);
  if (loads) {
    auto* load = b_.CreateAlignedLoad(b_.getIntNTy(size * 8), at, llvm::Align(size));
    if (!own_stack(index)) load->setAtomic(llvm::AtomicOrdering::Acquire);
    write(here.dst_reg, b_.CreateZExt(load, b_.getInt64Ty()));
    return {};
  }
  auto* store = b_.CreateAlignedStore(b_.CreateTrunc(read(here.src_reg), b_.getIntNTy(size * 8)),
                                      at, llvm::Align(size));
  if (!own_stack(index)) store->setAtomic(llvm::AtomicOrdering::Release);
  return {};
}

// Out of range leaves with 0, from a subprogram to its caller (as in Linux since 6.17).
Status FunctionLowering::lower_packet_load(uint32_t index) {
  const Insn& here = insn(index);
  Value* offset = immediate(here.imm, 32);
  if (insn_mode(here) == BPF_IND) {
    offset = b_.CreateAdd(offset, b_.CreateTrunc(read(here.src_reg), b_.getInt32Ty()));
  }
  llvm::IRBuilder<> entry(&function_->getEntryBlock(), function_->getEntryBlock().begin());
  Value* slot = entry.CreateAlloca(b_.getInt32Ty());
  Value* loaded = b_.CreateCall(runtime("sluice_rt_packet_load"),
                                {ctx_, offset, b_.getInt32(access_size(here)), slot});
  auto* next = llvm::BasicBlock::Create(b_.getContext(), "loaded", function_);
  b_.CreateCondBr(b_.CreateIsNotNull(loaded), next, leaving());
  b_.SetInsertPoint(next);
  write(0, b_.CreateZExt(b_.CreateLoad(b_.getInt32Ty(), slot), b_.getInt64Ty()));
  return {};
}

}  // namespace sluice::bpf::jit
