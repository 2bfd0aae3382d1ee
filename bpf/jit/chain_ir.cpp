#include "bpf/jit/chain_ir.hpp"

#include <llvm/IR/IRBuilder.h>

#include "base/limits.hpp"
#include "bpf/jit/lower.hpp"
#include "bpf/progs/chain_step.hpp"

namespace sluice::bpf::jit {
namespace {

// void sluice_burst(ptr packets, i32 count, ptr verdicts, ptr env, ptr counters)
class BurstBuilder {
 public:
  BurstBuilder(llvm::Module& module, const LoweredChain& chain, const ChainImage& image)
      : module_(module),
        programs_(chain.programs),
        prefetch_(chain.prefetch),
        image_(image),
        b_(module.getContext()) {
    for (const auto& program : image.programs) forwards_ |= forwards(program.type);
  }

  void build() {
    declare();
    make_entry();
    make_prefetch();
    make_loop();
    make_exit();
  }

 private:
  struct Counts {
    llvm::AllocaInst* passed;
    llvm::AllocaInst* trimmed;
    llvm::AllocaInst* next;  // went on to the next program; of a socket filter, what passed
    llvm::AllocaInst* transmitted;
    llvm::AllocaInst* redirected;
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
    auto* type = llvm::FunctionType::get(
        b_.getVoidTy(), {pointer, b_.getInt32Ty(), pointer, pointer, pointer}, false);
    function_ =
        llvm::Function::Create(type, llvm::Function::ExternalLinkage, kBurstSymbol, module_);
    function_->addFnAttr(llvm::Attribute::NoUnwind);
    function_->addFnAttr("frame-pointer", "all");
    for (unsigned i : {0u, 2u, 3u, 4u}) function_->addParamAttr(i, llvm::Attribute::NoAlias);
  }

  void make_entry() {
    b_.SetInsertPoint(block("entry"));
    ctx_ = b_.CreateAlloca(llvm::ArrayType::get(b_.getInt8Ty(), sizeof(PacketContext)), nullptr,
                           "ctx");
    ctx_->setAlignment(llvm::Align(alignof(PacketContext)));
    index_ = local(b_.getInt32Ty(), "index");
    kept_ = local(b_.getInt32Ty(), "kept");
    step_ = local(b_.getInt32Ty(), "step");
    for (const auto& program : image_.programs)
      counts_.push_back(make_counts(forwards(program.type)));
    auto* bytes = reinterpret_cast<const uint8_t*>(&image_.layout);
    auto* constant = llvm::ConstantDataArray::get(
        module_.getContext(), llvm::ArrayRef<uint8_t>(bytes, sizeof image_.layout));
    layout_constant_ = new llvm::GlobalVariable(
        module_, constant->getType(), true, llvm::GlobalValue::PrivateLinkage, constant, "layout");
    layout_constant_->setAlignment(llvm::Align(8));
    exit_ = block("exit");
    auto* some = block("some");
    b_.CreateCondBr(b_.CreateIsNull(function_->getArg(1)), exit_, some);
    b_.SetInsertPoint(some);
  }

  llvm::Value* load_packet(llvm::Value* index) {
    auto* packet =
        b_.CreateLoad(b_.getPtrTy(), b_.CreateGEP(b_.getPtrTy(), function_->getArg(0), index));
    call_runtime("sluice_rt_load_context", {ctx_, layout_constant_, packet, function_->getArg(3)});
    return packet;
  }

  // body(index) for each packet; goes on behind the loop.
  template <class Body>
  void for_each_packet(const char* name, Body body) {
    auto* loop = block(name);
    auto* behind = block("behind");
    b_.CreateStore(b_.getInt32(0), index_);
    b_.CreateBr(loop);
    b_.SetInsertPoint(loop);
    body(b_.CreateZExt(b_.CreateLoad(b_.getInt32Ty(), index_), b_.getInt64Ty()));
    increment(index_, b_.getInt32(1));
    b_.CreateCondBr(b_.CreateICmpULT(b_.CreateLoad(b_.getInt32Ty(), index_), function_->getArg(1)),
                    loop, behind);
    b_.SetInsertPoint(behind);
  }

  void make_prefetch() {
    if (prefetch_.slice == nullptr) return;
    auto* prefetch = block("prefetch");
    auto* run = block("run");
    b_.CreateCondBr(b_.CreateCall(prefetch_.pays, {ctx_}), prefetch, run);
    b_.SetInsertPoint(prefetch);
    llvm::IRBuilder<> entry(&function_->getEntryBlock(), function_->getEntryBlock().begin());
    auto* words =
        entry.CreateAlloca(llvm::ArrayType::get(b_.getInt64Ty(), kBurst), nullptr, "words");
    const auto word = [&](llvm::Value* index) {
      return b_.CreateGEP(b_.getInt64Ty(), words, index);
    };
    for_each_packet("bucket", [&](llvm::Value* index) {
      load_packet(index);
      b_.CreateStore(b_.CreateCall(prefetch_.slice, {ctx_}), word(index));
    });
    for_each_packet("element", [&](llvm::Value* index) {
      b_.CreateCall(prefetch_.element, {ctx_, b_.CreateLoad(b_.getInt64Ty(), word(index))});
    });
    b_.CreateBr(run);
    b_.SetInsertPoint(run);
  }

  Counts make_counts(bool forwards) {
    auto* passed = local(b_.getInt32Ty(), "passed");
    auto* trimmed = local(b_.getInt32Ty(), "trimmed");
    if (!forwards) return {passed, trimmed, passed, nullptr, nullptr};
    return {passed, trimmed, local(b_.getInt32Ty(), "next"), local(b_.getInt32Ty(), "transmitted"),
            local(b_.getInt32Ty(), "redirected")};
  }

  llvm::CallInst* call_runtime(const char* name, llvm::ArrayRef<llvm::Value*> arguments) {
    return b_.CreateCall(module_.getFunction(name), arguments);
  }

  void run_program(size_t i, llvm::Value* captured) {
    const uint32_t type = image_.programs[i].type;
    const bool enters = forwards_ && type != BPF_PROG_TYPE_XDP &&
                        (i == 0 || image_.programs[i - 1].type == BPF_PROG_TYPE_XDP);
    if (enters) call_runtime("sluice_rt_enter_stack", {ctx_});
    b_.CreateStore(b_.getInt32(0), b_.CreateConstInBoundsGEP1_64(
                                       b_.getInt8Ty(), ctx_, offsetof(PacketContext, tail_calls)));
    auto* result = b_.CreateTrunc(b_.CreateCall(programs_[i], {ctx_}), b_.getInt32Ty());
    if (forwards(type)) return after_forwarding(i, type, result);
    after_filter(i, result, forwards_ ? call_runtime("sluice_rt_captured", {ctx_}) : captured);
  }

  void after_filter(size_t i, llvm::Value* result, llvm::Value* captured) {
    auto* survived = block("survived");
    b_.CreateCondBr(b_.CreateIsNull(result), dropped_, survived);
    b_.SetInsertPoint(survived);
    increment(counts_[i].passed, b_.getInt32(1));
    auto* shorter = b_.CreateICmpULT(result, captured);
    increment(counts_[i].trimmed, b_.CreateZExt(shorter, b_.getInt32Ty()));
    auto* kept = b_.CreateLoad(b_.getInt32Ty(), kept_);
    b_.CreateStore(
        b_.CreateSelect(b_.CreateAnd(shorter, b_.CreateICmpULT(result, kept)), result, kept),
        kept_);
  }

  void after_forwarding(size_t i, uint32_t type, llvm::Value* result) {
    auto* step = call_runtime("sluice_rt_step", {b_.getInt32(type), result});
    auto* chosen = b_.CreateSwitch(step, dropped_, 4);
    const auto ends = [&](Step as, llvm::AllocaInst* counter) {
      auto* place = block("ends");
      chosen->addCase(b_.getInt32(static_cast<uint32_t>(as)), place);
      b_.SetInsertPoint(place);
      increment(counter, b_.getInt32(1));
      b_.CreateStore(b_.getInt32(static_cast<uint32_t>(as)), step_);
      b_.CreateBr(survivor_);
    };
    ends(Step::pass, counts_[i].passed);
    ends(Step::transmit, counts_[i].transmitted);
    ends(Step::redirect, counts_[i].redirected);
    auto* next = block("next");
    chosen->addCase(b_.getInt32(static_cast<uint32_t>(Step::next)), next);
    b_.SetInsertPoint(next);
    increment(counts_[i].passed, b_.getInt32(1));
    increment(counts_[i].next, b_.getInt32(1));
  }

  void make_loop() {
    for_each_packet("packet", [this](llvm::Value* index) { run_chain(index); });
    b_.CreateBr(exit_);
  }

  void run_chain(llvm::Value* index) {
    auto* packet = load_packet(index);
    if (forwards_) call_runtime("sluice_rt_load_room", {ctx_, layout_constant_, packet});
    auto* captured = call_runtime("sluice_rt_captured", {ctx_});
    dropped_ = block("dropped");
    survivor_ = block("survivor");
    b_.CreateStore(forwards_ ? b_.getInt32(UINT32_MAX) : static_cast<llvm::Value*>(captured),
                   kept_);
    b_.CreateStore(b_.getInt32(static_cast<uint32_t>(Step::next)), step_);
    for (size_t i = 0; i < programs_.size(); i++) run_program(i, captured);
    b_.CreateBr(survivor_);
    b_.SetInsertPoint(survivor_);
    llvm::Value* kept = b_.CreateLoad(b_.getInt32Ty(), kept_);
    if (forwards_) {
      auto* step = b_.CreateLoad(b_.getInt32Ty(), step_);
      kept = call_runtime("sluice_rt_finish", {ctx_, layout_constant_, packet, step, kept});
    }
    auto* done = block("done");
    b_.CreateBr(done);
    b_.SetInsertPoint(dropped_);
    b_.CreateBr(done);
    b_.SetInsertPoint(done);
    auto* verdict = b_.CreatePHI(b_.getInt32Ty(), 2);
    verdict->addIncoming(kept, survivor_);
    verdict->addIncoming(b_.getInt32(0), dropped_);
    b_.CreateStore(verdict, b_.CreateGEP(b_.getInt32Ty(), function_->getArg(2), index));
  }

  // Counted in registers over the burst, added once. A program runs on what the one before it lets
  // go on.
  void make_exit() {
    b_.SetInsertPoint(exit_);
    llvm::Value* run = function_->getArg(1);
    for (size_t i = 0; i < programs_.size(); i++) {
      add_counter(i, offsetof(ProgramCounters, run), run);
      add_counter(i, offsetof(ProgramCounters, passed), total(counts_[i].passed));
      if (forwards(image_.programs[i].type)) {
        add_counter(i, offsetof(ProgramCounters, transmitted), total(counts_[i].transmitted));
        add_counter(i, offsetof(ProgramCounters, redirected), total(counts_[i].redirected));
      } else {
        add_counter(i, offsetof(ProgramCounters, trimmed), total(counts_[i].trimmed));
      }
      run = total(counts_[i].next);
    }
    b_.CreateRetVoid();
  }

  llvm::Value* total(llvm::AllocaInst* counter) { return b_.CreateLoad(b_.getInt32Ty(), counter); }

  // Only this worker writes; the exporter reads whole words (a relaxed store, not a
  // read-modify-write).
  void add_counter(size_t program, size_t offset, llvm::Value* count) {
    auto* at = b_.CreateConstGEP1_64(b_.getInt8Ty(), function_->getArg(4),
                                     program * sizeof(ProgramCounters) + offset);
    auto* old = b_.CreateAlignedLoad(b_.getInt64Ty(), at, llvm::Align(8));
    auto* store = b_.CreateAlignedStore(b_.CreateAdd(old, b_.CreateZExt(count, b_.getInt64Ty())),
                                        at, llvm::Align(8));
    store->setAtomic(llvm::AtomicOrdering::Monotonic);
  }

  llvm::Module& module_;
  const std::vector<llvm::Function*>& programs_;
  const Prefetch& prefetch_;
  const ChainImage& image_;
  bool forwards_ = false;  // one of the programs may change packets and send them elsewhere
  llvm::IRBuilder<> b_;
  llvm::Function* function_ = nullptr;
  llvm::AllocaInst* ctx_ = nullptr;
  llvm::AllocaInst* index_ = nullptr;
  llvm::AllocaInst* kept_ = nullptr;  // of the packet in hand
  llvm::AllocaInst* step_ = nullptr;  // the last program's, of a packet that was not dropped
  llvm::GlobalVariable* layout_constant_ = nullptr;
  llvm::BasicBlock* exit_ = nullptr;
  llvm::BasicBlock* dropped_ = nullptr;
  llvm::BasicBlock* survivor_ = nullptr;
  std::vector<Counts> counts_;
};

}  // namespace

Result<LoweredChain> lower_programs(llvm::Module& module, const ChainImage& image) {
  LoweredChain chain;
  for (size_t i = 0; i < image.programs.size(); i++) {
    ProgramLowering lowering(module, image.programs[i], "program." + std::to_string(i));
    auto function = lowering.lower();
    if (!function) return tl::unexpected<Error>(std::move(function.error()));
    chain.programs.push_back(*function);
    const bool first =
        i == 0 && image.entry == ChainImage::Entry::burst && !forwards(image.programs[i].type);
    const int32_t map = first ? prefetched_map(image.programs[i]) : -1;
    if (map < 0) continue;
    auto slice = lowering.lower_slice(map);
    if (!slice) return tl::unexpected<Error>(std::move(slice.error()));
    chain.prefetch = {*slice, lowering.map_operation("sluice_rt_prefetch_pays", map),
                      lowering.map_operation("sluice_rt_prefetch_element", map)};
  }
  return chain;
}

void add_burst(llvm::Module& module, const LoweredChain& chain, const ChainImage& image) {
  BurstBuilder(module, chain, image).build();
}

// i64 sluice_program(ptr ctx, ptr target): a TailCode.
void add_program_entry(llvm::Module& module, llvm::Function* program) {
  llvm::IRBuilder<> b(module.getContext());
  auto* type = llvm::FunctionType::get(b.getInt64Ty(), {b.getPtrTy(), b.getPtrTy()}, false);
  auto* entry =
      llvm::Function::Create(type, llvm::Function::ExternalLinkage, kProgramSymbol, module);
  entry->addFnAttr(llvm::Attribute::NoUnwind);
  entry->addFnAttr("frame-pointer", "all");
  b.SetInsertPoint(llvm::BasicBlock::Create(module.getContext(), "entry", entry));
  b.CreateRet(b.CreateCall(program, {entry->getArg(0)}));
}

}  // namespace sluice::bpf::jit
