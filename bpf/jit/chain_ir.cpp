#include "bpf/jit/chain_ir.hpp"

#include <llvm/IR/IRBuilder.h>

#include "bpf/jit/lower.hpp"

namespace sluice::bpf::jit {
namespace {

// void sluice_burst(ptr packets, i32 count, ptr verdicts, ptr env, ptr counters)
class BurstBuilder {
 public:
  BurstBuilder(llvm::Module& module, const std::vector<llvm::Function*>& programs, const PacketLayout& layout)
      : module_(module), programs_(programs), layout_(layout), b_(module.getContext()) {}

  void build() {
    declare();
    make_entry();
    make_loop();
    make_exit();
  }

 private:
  struct Counts {
    llvm::AllocaInst* passed;
    llvm::AllocaInst* trimmed;
  };

  llvm::BasicBlock* block(const char* name) {
    return llvm::BasicBlock::Create(module_.getContext(), name, function_);
  }
  llvm::AllocaInst* local(llvm::Type* type, const char* name) {
    auto* slot = b_.CreateAlloca(type, nullptr, name);
    b_.CreateStore(llvm::Constant::getNullValue(type), slot);
    return slot;
  }
  void increment(llvm::AllocaInst* counter, llvm::Value* by) {
    b_.CreateStore(b_.CreateAdd(b_.CreateLoad(b_.getInt32Ty(), counter), by), counter);
  }

  void declare() {
    auto* pointer = b_.getPtrTy();
    auto* type = llvm::FunctionType::get(b_.getVoidTy(), {pointer, b_.getInt32Ty(), pointer, pointer, pointer}, false);
    function_ = llvm::Function::Create(type, llvm::Function::ExternalLinkage, kBurstSymbol, module_);
    function_->addFnAttr(llvm::Attribute::NoUnwind);
    function_->addFnAttr("frame-pointer", "all");
    for (unsigned i : {0u, 2u, 3u, 4u}) function_->addParamAttr(i, llvm::Attribute::NoAlias);
    loop_ = nullptr;
  }

  void make_entry() {
    b_.SetInsertPoint(block("entry"));
    ctx_ = b_.CreateAlloca(llvm::ArrayType::get(b_.getInt8Ty(), sizeof(PacketContext)), nullptr, "ctx");
    ctx_->setAlignment(llvm::Align(alignof(PacketContext)));
    index_ = local(b_.getInt32Ty(), "index");
    for (size_t i = 0; i < programs_.size(); i++) {
      counts_.push_back({local(b_.getInt32Ty(), "passed"), local(b_.getInt32Ty(), "trimmed")});
    }
    auto* bytes = reinterpret_cast<const uint8_t*>(&layout_);
    auto* constant = llvm::ConstantDataArray::get(module_.getContext(),
                                                  llvm::ArrayRef<uint8_t>(bytes, sizeof layout_));
    layout_constant_ = new llvm::GlobalVariable(module_, constant->getType(), true,
                                                llvm::GlobalValue::PrivateLinkage, constant, "layout");
    layout_constant_->setAlignment(llvm::Align(8));
    loop_ = block("packet");
    exit_ = block("exit");
    b_.CreateCondBr(b_.CreateIsNull(function_->getArg(1)), exit_, loop_);
  }

  llvm::Value* run_program(size_t i, llvm::Value* captured, llvm::Value* kept, llvm::BasicBlock* dropped) {
    b_.CreateStore(b_.getInt32(0), b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), ctx_, offsetof(PacketContext, tail_calls)));
    auto* result = b_.CreateTrunc(b_.CreateCall(programs_[i], {ctx_}), b_.getInt32Ty());
    auto* survived = block("survived");
    b_.CreateCondBr(b_.CreateIsNull(result), dropped, survived);
    b_.SetInsertPoint(survived);
    increment(counts_[i].passed, b_.getInt32(1));
    increment(counts_[i].trimmed, b_.CreateZExt(b_.CreateICmpULT(result, captured), b_.getInt32Ty()));
    return b_.CreateSelect(b_.CreateICmpULT(result, kept), result, kept);
  }

  void make_loop() {
    b_.SetInsertPoint(loop_);
    auto* index = b_.CreateZExt(b_.CreateLoad(b_.getInt32Ty(), index_), b_.getInt64Ty());
    auto* packet = b_.CreateLoad(b_.getPtrTy(), b_.CreateGEP(b_.getPtrTy(), function_->getArg(0), index));
    b_.CreateCall(module_.getFunction("sluice_rt_load_context"),
                  {ctx_, layout_constant_, packet, function_->getArg(3)});
    auto* captured = b_.CreateCall(module_.getFunction("sluice_rt_captured"), {ctx_});
    auto* dropped = block("dropped");
    llvm::Value* kept = captured;
    for (size_t i = 0; i < programs_.size(); i++) kept = run_program(i, captured, kept, dropped);
    auto* survivor = b_.GetInsertBlock();
    auto* done = block("done");
    b_.CreateBr(done);
    b_.SetInsertPoint(dropped);
    b_.CreateBr(done);
    b_.SetInsertPoint(done);
    auto* verdict = b_.CreatePHI(b_.getInt32Ty(), 2);
    verdict->addIncoming(kept, survivor);
    verdict->addIncoming(b_.getInt32(0), dropped);
    b_.CreateStore(verdict, b_.CreateGEP(b_.getInt32Ty(), function_->getArg(2), index));
    increment(index_, b_.getInt32(1));
    auto* more = b_.CreateICmpULT(b_.CreateLoad(b_.getInt32Ty(), index_), function_->getArg(1));
    b_.CreateCondBr(more, loop_, exit_);
  }

  // Counted in registers over the burst, added once. A program runs on the survivors of the one before it.
  void make_exit() {
    b_.SetInsertPoint(exit_);
    llvm::Value* run = function_->getArg(1);
    for (size_t i = 0; i < programs_.size(); i++) {
      auto* passed = b_.CreateLoad(b_.getInt32Ty(), counts_[i].passed);
      add_counter(i, offsetof(ProgramCounters, run), run);
      add_counter(i, offsetof(ProgramCounters, passed), passed);
      add_counter(i, offsetof(ProgramCounters, trimmed), b_.CreateLoad(b_.getInt32Ty(), counts_[i].trimmed));
      run = passed;
    }
    b_.CreateRetVoid();
  }

  // Only this worker writes; the exporter reads whole words (a relaxed store, not a read-modify-write).
  void add_counter(size_t program, size_t offset, llvm::Value* count) {
    auto* at = b_.CreateConstGEP1_64(b_.getInt8Ty(), function_->getArg(4), program * sizeof(ProgramCounters) + offset);
    auto* old = b_.CreateAlignedLoad(b_.getInt64Ty(), at, llvm::Align(8));
    auto* store = b_.CreateAlignedStore(b_.CreateAdd(old, b_.CreateZExt(count, b_.getInt64Ty())), at, llvm::Align(8));
    store->setAtomic(llvm::AtomicOrdering::Monotonic);
  }

  llvm::Module& module_;
  const std::vector<llvm::Function*>& programs_;
  const PacketLayout& layout_;
  llvm::IRBuilder<> b_;
  llvm::Function* function_ = nullptr;
  llvm::AllocaInst* ctx_ = nullptr;
  llvm::AllocaInst* index_ = nullptr;
  llvm::GlobalVariable* layout_constant_ = nullptr;
  llvm::BasicBlock* loop_ = nullptr;
  llvm::BasicBlock* exit_ = nullptr;
  std::vector<Counts> counts_;
};

}  // namespace

Result<std::vector<llvm::Function*>> lower_programs(llvm::Module& module, const ChainImage& image) {
  std::vector<llvm::Function*> functions;
  for (size_t i = 0; i < image.programs.size(); i++) {
    ProgramLowering lowering(module, image.programs[i], "program." + std::to_string(i));
    auto function = lowering.lower();
    if (!function) return tl::unexpected<Error>(std::move(function.error()));
    functions.push_back(*function);
  }
  return functions;
}

void add_burst(llvm::Module& module, const std::vector<llvm::Function*>& programs, const PacketLayout& layout) {
  for (auto* program : programs) {
    program->setLinkage(llvm::GlobalValue::InternalLinkage);
    program->addFnAttr(llvm::Attribute::AlwaysInline);
  }
  BurstBuilder(module, programs, layout).build();
}

// i64 sluice_program(ptr ctx, ptr target): a TailCode.
void add_program_entry(llvm::Module& module, llvm::Function* program) {
  program->setLinkage(llvm::GlobalValue::InternalLinkage);
  program->addFnAttr(llvm::Attribute::AlwaysInline);
  llvm::IRBuilder<> b(module.getContext());
  auto* type = llvm::FunctionType::get(b.getInt64Ty(), {b.getPtrTy(), b.getPtrTy()}, false);
  auto* entry = llvm::Function::Create(type, llvm::Function::ExternalLinkage, kProgramSymbol, module);
  entry->addFnAttr(llvm::Attribute::NoUnwind);
  entry->addFnAttr("frame-pointer", "all");
  b.SetInsertPoint(llvm::BasicBlock::Create(module.getContext(), "entry", entry));
  b.CreateRet(b.CreateCall(program, {entry->getArg(0)}));
}

}  // namespace sluice::bpf::jit
