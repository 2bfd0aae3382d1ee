#include "bpf/jit/lower.hpp"

#include <llvm/IR/InlineAsm.h>

#include "base/limits.hpp"

namespace sluice::bpf::jit {
namespace {

// A subprogram this short is inlined at every call; a longer one where it is called once.
constexpr uint32_t kInlineInsns = 32;

// The one for the key's size, if there is one.
llvm::Function* runtime_operation(llvm::Module& module, const std::string& name,
                                  uint32_t key_size) {
  auto* sized = module.getFunction(name + "_" + std::to_string(key_size));
  return sized != nullptr ? sized : module.getFunction(name);
}

}  // namespace

ProgramLowering::ProgramLowering(llvm::Module& module, const ProgramImage& program,
                                 std::string prefix)
    : module_(module),
      program_(program),
      prefix_(std::move(prefix)),
      blinding_state_(program.hardening.blinding_seed) {}

// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
uint64_t ProgramLowering::next_blinding_key() {
  if (program_.hardening.blinding_seed == 0) return 0;
  blinding_state_ += 0x9e3779b97f4a7c15;
  uint64_t key = blinding_state_;
  key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9;
  key = (key ^ key >> 27) * 0x94d049bb133111eb;
  return key ^ key >> 31;
}

size_t ProgramLowering::calls_of(uint32_t start) const {
  size_t calls = 0;
  for (size_t i = 0; i < program_.insns.size(); i += insn_length(program_.insns[i])) {
    const Insn& insn = program_.insns[i];
    if (is_local_call(insn) && jump_target(insn, static_cast<int64_t>(i)) == start) calls++;
  }
  return calls;
}

llvm::Function* ProgramLowering::declare(size_t index) {
  auto& context = module_.getContext();
  auto* i64 = llvm::Type::getInt64Ty(context);
  auto* pointer = llvm::PointerType::getUnqual(context);
  std::vector<llvm::Type*> arguments{pointer};
  if (index != 0) arguments.insert(arguments.end(), 5, i64);
  auto* type = llvm::FunctionType::get(i64, arguments, false);
  const std::string name = index == 0 ? prefix_ : prefix_ + "." + std::to_string(index);
  auto* function = llvm::Function::Create(type, llvm::Function::InternalLinkage, name, module_);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  function->addFnAttr("frame-pointer", "all");
  if (index != 0) {
    const Subprogram& subprogram = program_.subprograms[index];
    const bool small =
        subprogram.end - subprogram.start <= kInlineInsns || calls_of(subprogram.start) <= 1;
    function->addFnAttr(small ? llvm::Attribute::AlwaysInline : llvm::Attribute::NoInline);
  }
  return function;
}

Result<llvm::Function*> ProgramLowering::lower() {
  for (size_t i = 0; i < program_.subprograms.size(); i++) functions_.push_back(declare(i));
  for (size_t i = 0; i < program_.subprograms.size(); i++) {
    FunctionLowering body(*this, program_.subprograms[i], functions_[i], i == 0);
    auto done = body.lower();
    if (!done) return fail(std::move(done.error()).in("program " + program_.name));
  }
  return functions_[0];
}

llvm::Function* ProgramLowering::subprogram_at(int64_t insn) {
  for (size_t i = 1; i < program_.subprograms.size(); i++) {
    if (program_.subprograms[i].start == insn) return functions_[i];
  }
  return nullptr;
}

llvm::Function* ProgramLowering::callback(uint32_t subprogram) {
  return subprogram == 0 || subprogram >= functions_.size() ? nullptr : functions_[subprogram];
}

llvm::Constant* ProgramLowering::constant_pointer(const void* address) {
  auto& context = module_.getContext();
  auto* bits =
      llvm::ConstantInt::get(llvm::Type::getInt64Ty(context), reinterpret_cast<uintptr_t>(address));
  return llvm::ConstantExpr::getIntToPtr(bits, llvm::PointerType::getUnqual(context));
}

llvm::Constant* ProgramLowering::add_constant(llvm::ArrayRef<llvm::Constant*> fields,
                                              const std::string& name) {
  auto* value = llvm::ConstantStruct::getAnon(fields);
  auto* global = new llvm::GlobalVariable(module_, value->getType(), true,
                                          llvm::GlobalValue::PrivateLinkage, value, prefix_ + name);
  global->setAlignment(llvm::Align(8));
  return global;
}

// A constant copy of the MapCore, with typed pointers, so that every field load folds. The layout
// is the struct's.
llvm::Constant* ProgramLowering::map_constant(int32_t map_index) {
  auto& slot = cores_[map_index];
  if (slot != nullptr) return slot;
  const MapCore& core = program_.maps[static_cast<size_t>(map_index)].core;
  auto& context = module_.getContext();
  auto* i32 = llvm::Type::getInt32Ty(context);
  auto* i64 = llvm::Type::getInt64Ty(context);
  const auto word = [&](uint32_t value) { return llvm::ConstantInt::get(i32, value); };
  const auto address = [this](const void* value) { return constant_pointer(value); };
  static_assert(sizeof(MapCore) == 104 && offsetof(MapCore, values) == 32 &&
                offsetof(MapCore, table) == 40 && offsetof(MapCore, hash_key) == 48 &&
                offsetof(MapCore, spin_lock_offset) == 64 && offsetof(MapCore, magazines) == 72 &&
                offsetof(MapCore, element_stride) == 88);
  llvm::Constant* fields[] = {word(core.type),
                              word(core.key_size),
                              word(core.value_size),
                              word(core.value_stride),
                              word(core.max_entries),
                              word(core.flags),
                              word(core.slots),
                              word(core.bucket_mask),
                              address(core.values),
                              address(core.table),
                              llvm::ConstantInt::get(i64, core.hash_key[0]),
                              llvm::ConstantInt::get(i64, core.hash_key[1]),
                              word(static_cast<uint32_t>(core.spin_lock_offset)),
                              word(core.hashes),
                              address(core.magazines),
                              word(core.magazines_count),
                              word(core.magazine_capacity),
                              llvm::ConstantInt::get(i64, core.element_stride),
                              word(core.value_offset)};
  slot = add_constant(fields, ".map." + std::to_string(map_index));
  return slot;
}

llvm::Constant* ProgramLowering::private_copies(int32_t map_index) {
  const PrivateCopies& copies = program_.maps[static_cast<size_t>(map_index)].copies;
  if (copies.copies == nullptr) return nullptr;
  auto& slot = copies_[map_index];
  if (slot != nullptr) return slot;
  static_assert(sizeof copies == 32 && offsetof(PrivateCopies, copies) == 8 &&
                offsetof(PrivateCopies, distance) == 16 && offsetof(PrivateCopies, adding) == 24);
  auto* i64 = llvm::Type::getInt64Ty(module_.getContext());
  slot =
      add_constant({constant_pointer(copies.values), constant_pointer(copies.copies),
                    llvm::ConstantInt::get(i64, copies.distance), constant_pointer(copies.adding)},
                   ".copies." + std::to_string(map_index));
  return slot;
}

llvm::Function* ProgramLowering::map_operation(const char* runtime_name, int32_t map_index) {
  auto& slot = map_operations_[{runtime_name, map_index}];
  if (slot != nullptr) return slot;
  auto* runtime = runtime_operation(module_, runtime_name,
                                    program_.maps[static_cast<size_t>(map_index)].core.key_size);
  std::vector<llvm::Type*> types;
  for (unsigned i = 0; i < runtime->arg_size(); i++) {
    if (i != 1) types.push_back(runtime->getArg(i)->getType());
  }
  auto* type = llvm::FunctionType::get(runtime->getReturnType(), types, false);
  slot = llvm::Function::Create(type, llvm::Function::InternalLinkage,
                                prefix_ + "." + runtime_name + "." + std::to_string(map_index),
                                module_);
  slot->addFnAttr(llvm::Attribute::AlwaysInline);
  slot->addFnAttr(llvm::Attribute::NoUnwind);
  llvm::IRBuilder<> b(llvm::BasicBlock::Create(module_.getContext(), "", slot));
  std::vector<llvm::Value*> arguments;
  for (auto& argument : slot->args()) arguments.push_back(&argument);
  arguments.insert(arguments.begin() + 1, map_constant(map_index));
  auto* result = b.CreateCall(runtime, arguments);
  if (result->getType()->isVoidTy()) {
    b.CreateRetVoid();
  } else {
    b.CreateRet(result);
  }
  return slot;
}

FunctionLowering::FunctionLowering(ProgramLowering& owner, const Subprogram& subprogram,
                                   llvm::Function* function, bool main, int32_t slice_of)
    : owner_(owner),
      subprogram_(subprogram),
      function_(function),
      main_(main),
      slice_of_(slice_of),
      b_(owner.module().getContext()) {}

tl::unexpected<Error> FunctionLowering::unsupported(uint32_t index, const std::string& what) const {
  return fail(EOPNOTSUPP, "instruction " + std::to_string(index) + ": " + what +
                              " is not supported by the JIT");
}

llvm::Value* FunctionLowering::read(uint32_t reg) {
  if (reg == kFrameRegister) return frame_pointer_;
  return b_.CreateLoad(b_.getInt64Ty(), registers_[reg]);
}

void FunctionLowering::write(uint32_t reg, Value* value) { b_.CreateStore(value, registers_[reg]); }

// Blinded, the optimiser must not see the number: it would fold the two halves again.
llvm::Value* FunctionLowering::immediate(int64_t value, unsigned bits) {
  auto* type = b_.getIntNTy(bits);
  const uint64_t key = owner_.next_blinding_key();
  if (key == 0) return llvm::ConstantInt::getSigned(type, value);
  auto* copy = llvm::FunctionType::get(type, {type}, false);
  auto* opaque = llvm::InlineAsm::get(copy, "", "=r,0", false);
  auto* half = llvm::ConstantInt::get(type, static_cast<uint64_t>(value) ^ key);
  return b_.CreateXor(b_.CreateCall(copy, opaque, {half}), llvm::ConstantInt::get(type, key));
}

llvm::FunctionCallee FunctionLowering::runtime(const char* name) {
  return owner_.module().getFunction(name);
}

void FunctionLowering::make_entry() {
  b_.SetInsertPoint(llvm::BasicBlock::Create(b_.getContext(), "entry", function_));
  ctx_ = function_->getArg(0);
  for (uint32_t i = 0; i < kFrameRegister; i++) {
    registers_[i] = b_.CreateAlloca(b_.getInt64Ty(), nullptr, "r" + llvm::Twine(i));
    b_.CreateStore(b_.getInt64(0), registers_[i]);
  }
  // Stack that the program has not written reads 0, as the design has it, and never what an earlier
  // run left.
  stack_ = b_.CreateAlloca(llvm::ArrayType::get(b_.getInt8Ty(), kMaxStack), nullptr, "stack");
  stack_->setAlignment(llvm::Align(16));
  b_.CreateMemSet(stack_, b_.getInt8(0), kMaxStack, llvm::Align(16));
  frame_pointer_ = b_.CreatePtrToInt(stack_at(0), b_.getInt64Ty());
  if (main_) {
    write(1, b_.CreatePtrToInt(ctx_, b_.getInt64Ty()));
  } else {
    for (uint32_t i = 1; i <= 5; i++) write(i, function_->getArg(i));
  }
}

void FunctionLowering::find_blocks() {
  const auto add = [&](int64_t index) {
    auto& slot = blocks_[index];
    if (slot == nullptr)
      slot = llvm::BasicBlock::Create(b_.getContext(), "i" + llvm::Twine(index), function_);
  };
  add(subprogram_.start);
  for (uint32_t i = subprogram_.start; i < subprogram_.end; i += insn_length(insn(i))) {
    const Insn& here = insn(i);
    if (!is_goto(here) && !is_conditional_jump(here)) continue;
    add(jump_target(here, i));
    if (is_conditional_jump(here)) add(i + 1);
  }
}

llvm::BasicBlock* FunctionLowering::leaving() {
  if (leaving_ == nullptr) {
    leaving_ = llvm::BasicBlock::Create(b_.getContext(), "leave", function_);
    llvm::IRBuilder<>(leaving_).CreateRet(b_.getInt64(0));
  }
  return leaving_;
}

Status FunctionLowering::lower() {
  make_entry();
  find_blocks();
  b_.CreateBr(blocks_.at(subprogram_.start));
  for (uint32_t i = subprogram_.start; i < subprogram_.end; i += insn_length(insn(i))) {
    const auto block = blocks_.find(i);
    if (block != blocks_.end()) {
      if (b_.GetInsertBlock()->getTerminator() == nullptr) b_.CreateBr(block->second);
      b_.SetInsertPoint(block->second);
    }
    if (slice_of_ >= 0 && (b_.GetInsertBlock()->getTerminator() != nullptr || lower_slice_end(i)))
      continue;
    if (b_.GetInsertBlock()->getTerminator() != nullptr)
      return unsupported(i, "code without an entry");
    if (auto done = lower_insn(i); !done) return done;
  }
  if (b_.GetInsertBlock()->getTerminator() == nullptr)
    return unsupported(subprogram_.end - 1, "an end that is no exit");
  return {};
}

Status FunctionLowering::lower_insn(uint32_t index) {
  const Insn& here = insn(index);
  if (is_alu(here)) return lower_alu(index);
  if (is_jump(here)) return lower_jump(index);
  if (is_load_imm64(here)) return lower_load_imm64(index);
  if (is_packet_load(here)) return lower_packet_load(index);
  if (is_atomic(here)) return lower_atomic(index);
  if (insn_class(here) == BPF_LDX) return lower_load(index);
  if (insn_class(here) == BPF_ST || insn_class(here) == BPF_STX) return lower_store(index);
  return unsupported(index, "opcode " + std::to_string(here.code));
}

Status FunctionLowering::lower_jump(uint32_t index) {
  const Insn& here = insn(index);
  if (is_call(here)) return lower_call(index);
  if (is_exit(here)) {
    b_.CreateRet(read(0));
    return {};
  }
  if (is_goto(here)) {
    b_.CreateBr(blocks_.at(jump_target(here, index)));
    return {};
  }
  Value* taken = condition(here);
  if (taken == nullptr) return unsupported(index, "jump opcode " + std::to_string(here.code));
  b_.CreateCondBr(taken, blocks_.at(jump_target(here, index)), blocks_.at(index + 1));
  return {};
}

Status FunctionLowering::lower_load_imm64(uint32_t index) {
  const Insn& here = insn(index);
  const Insn& high = insn(index + 1);
  const auto& maps = owner_.program().maps;
  const bool map = here.src_reg == BPF_PSEUDO_MAP_FD || here.src_reg == BPF_PSEUDO_MAP_VALUE;
  if (map && static_cast<uint32_t>(here.imm) >= maps.size())
    return unsupported(index, "a map that is not there");
  uint64_t value = static_cast<uint32_t>(here.imm) | uint64_t{static_cast<uint32_t>(high.imm)}
                                                         << 32;
  if (here.src_reg == BPF_PSEUDO_FUNC) {
    llvm::Function* function = owner_.callback(static_cast<uint32_t>(here.imm));
    if (function == nullptr) return unsupported(index, "a subprogram that is not there");
    write(here.dst_reg, b_.CreatePtrToInt(function, b_.getInt64Ty()));
    return {};
  }
  if (here.src_reg == BPF_PSEUDO_MAP_FD) {
    value = maps[static_cast<size_t>(here.imm)].address;
  } else if (here.src_reg == BPF_PSEUDO_MAP_VALUE) {
    value = reinterpret_cast<uintptr_t>(maps[static_cast<size_t>(here.imm)].core.values) +
            static_cast<uint32_t>(high.imm);
  } else if (here.src_reg != 0) {
    return unsupported(index, "64-bit immediate of kind " + std::to_string(here.src_reg));
  }
  write(here.dst_reg,
        here.src_reg == 0 ? immediate(static_cast<int64_t>(value)) : b_.getInt64(value));
  return {};
}

}  // namespace sluice::bpf::jit
