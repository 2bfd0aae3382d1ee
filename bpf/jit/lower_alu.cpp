// Arithmetic and conditions (RFC 9669): wrapping, shifts masked, division by zero gives 0, modulo
// by zero the dividend.
#include <llvm/IR/Intrinsics.h>

#include "bpf/jit/lower.hpp"

namespace sluice::bpf::jit {

llvm::Value* FunctionLowering::divide(bool is_signed, bool remainder, Value* left, Value* right) {
  auto* type = left->getType();
  auto* zero = llvm::ConstantInt::get(type, 0);
  auto* one = llvm::ConstantInt::get(type, 1);
  auto* by_zero = b_.CreateICmpEQ(right, zero);
  if (!is_signed) {
    auto* divisor = b_.CreateSelect(by_zero, one, right);
    if (remainder) return b_.CreateSelect(by_zero, left, b_.CreateURem(left, divisor));
    return b_.CreateSelect(by_zero, zero, b_.CreateUDiv(left, divisor));
  }
  // The least integer by -1 overflows in LLVM; -x and 0 are what every x / -1 and x % -1 give,
  // wrapping.
  auto* by_minus_one = b_.CreateICmpEQ(right, llvm::ConstantInt::getAllOnesValue(type));
  auto* divisor = b_.CreateSelect(b_.CreateOr(by_zero, by_minus_one), one, right);
  if (remainder) {
    auto* rest = b_.CreateSelect(by_minus_one, zero, b_.CreateSRem(left, divisor));
    return b_.CreateSelect(by_zero, left, rest);
  }
  auto* quotient = b_.CreateSelect(by_minus_one, b_.CreateNeg(left), b_.CreateSDiv(left, divisor));
  return b_.CreateSelect(by_zero, zero, quotient);
}

llvm::Value* FunctionLowering::move(const Insn& insn, Value* source, unsigned bits) {
  if (insn.off == 0) return source;
  auto* narrow = b_.CreateTrunc(source, b_.getIntNTy(static_cast<unsigned>(insn.off)));
  return b_.CreateSExt(narrow, b_.getIntNTy(bits));
}

llvm::Value* FunctionLowering::byte_swap(const Insn& insn, Value* value) {
  auto* type = b_.getIntNTy(static_cast<unsigned>(insn.imm));
  auto* narrow = b_.CreateTrunc(value, type);
  const bool swap = insn_class(insn) == BPF_ALU64 || BPF_SRC(insn.code) == BPF_TO_BE;
  if (swap) narrow = b_.CreateUnaryIntrinsic(llvm::Intrinsic::bswap, narrow);
  return b_.CreateZExt(narrow, b_.getInt64Ty());
}

Status FunctionLowering::lower_alu(uint32_t index) {
  const Insn& here = insn(index);
  const unsigned bits = insn_class(here) == BPF_ALU64 ? 64 : 32;
  auto* type = b_.getIntNTy(bits);
  if (alu_op(here) == BPF_END) {
    write(here.dst_reg, byte_swap(here, read(here.dst_reg)));
    return {};
  }
  Value* left = b_.CreateTrunc(read(here.dst_reg), type);
  Value* right =
      uses_register(here) ? b_.CreateTrunc(read(here.src_reg), type) : immediate(here.imm, bits);
  Value* shift = b_.CreateAnd(right, bits - 1);
  Value* result = nullptr;
  switch (alu_op(here)) {
    case BPF_ADD: result = b_.CreateAdd(left, right); break;
    case BPF_SUB: result = b_.CreateSub(left, right); break;
    case BPF_MUL: result = b_.CreateMul(left, right); break;
    case BPF_OR: result = b_.CreateOr(left, right); break;
    case BPF_AND: result = b_.CreateAnd(left, right); break;
    case BPF_XOR: result = b_.CreateXor(left, right); break;
    case BPF_LSH: result = b_.CreateShl(left, shift); break;
    case BPF_RSH: result = b_.CreateLShr(left, shift); break;
    case BPF_ARSH: result = b_.CreateAShr(left, shift); break;
    case BPF_NEG: result = b_.CreateNeg(left); break;
    case BPF_DIV: result = divide(here.off == 1, false, left, right); break;
    case BPF_MOD: result = divide(here.off == 1, true, left, right); break;
    case BPF_MOV: result = move(here, right, bits); break;
    default: return unsupported(index, "arithmetic opcode " + std::to_string(here.code));
  }
  write(here.dst_reg, b_.CreateZExt(result, b_.getInt64Ty()));
  return {};
}

llvm::Value* FunctionLowering::condition(const Insn& insn) {
  const unsigned bits = insn_class(insn) == BPF_JMP ? 64 : 32;
  auto* type = b_.getIntNTy(bits);
  Value* left = b_.CreateTrunc(read(insn.dst_reg), type);
  Value* right =
      uses_register(insn) ? b_.CreateTrunc(read(insn.src_reg), type) : immediate(insn.imm, bits);
  switch (alu_op(insn)) {
    case BPF_JEQ: return b_.CreateICmpEQ(left, right);
    case BPF_JNE: return b_.CreateICmpNE(left, right);
    case BPF_JGT: return b_.CreateICmpUGT(left, right);
    case BPF_JGE: return b_.CreateICmpUGE(left, right);
    case BPF_JLT: return b_.CreateICmpULT(left, right);
    case BPF_JLE: return b_.CreateICmpULE(left, right);
    case BPF_JSGT: return b_.CreateICmpSGT(left, right);
    case BPF_JSGE: return b_.CreateICmpSGE(left, right);
    case BPF_JSLT: return b_.CreateICmpSLT(left, right);
    case BPF_JSLE: return b_.CreateICmpSLE(left, right);
    case BPF_JSET: return b_.CreateIsNotNull(b_.CreateAnd(left, right));
    default: return nullptr;
  }
}

}  // namespace sluice::bpf::jit
