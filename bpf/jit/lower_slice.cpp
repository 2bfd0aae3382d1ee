// A slice: the main program once more, up to its first use of one map by a key, whose bucket it
// prefetches. It changes nothing but the cache: it ends before anything that somebody could see,
// and before it would go backwards.
#include "bpf/jit/lower.hpp"

#include "bpf/jit/prefetch.hpp"
#include "bpf/maps/hash_table.hpp"

namespace sluice::bpf::jit {
namespace {

bool is_hash(uint32_t type) {
  return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LRU_HASH || is_per_cpu_hash(type);
}

// The key is their second argument.
bool takes_key(const Insn& call) {
  return is_helper_call(call) &&
         (call.imm == BPF_FUNC_map_lookup_elem || call.imm == BPF_FUNC_map_update_elem ||
          call.imm == BPF_FUNC_map_delete_elem);
}

}  // namespace

int32_t prefetched_map(const ProgramImage& program) {
  int32_t largest = -1;
  uint64_t most = kPrefetchBytes - 1;
  for (size_t i = 0; i < program.maps.size(); i++) {
    const MapCore& core = program.maps[i].core;
    const uint64_t bytes = is_hash(core.type) ? core.max_entries * core.element_stride : 0;
    if (bytes <= most) continue;
    most = bytes;
    largest = static_cast<int32_t>(i);
  }
  return largest;
}

Result<llvm::Function*> ProgramLowering::lower_slice(int32_t map_index) {
  auto& context = module_.getContext();
  auto* type = llvm::FunctionType::get(llvm::Type::getInt64Ty(context),
                                       {llvm::PointerType::getUnqual(context)}, false);
  auto* function =
      llvm::Function::Create(type, llvm::Function::InternalLinkage, prefix_ + ".slice", module_);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  function->addFnAttr("frame-pointer", "all");
  FunctionLowering body(*this, program_.subprograms[0], function, true, map_index);
  if (auto done = body.lower(); !done)
    return fail(std::move(done.error()).in("program " + program_.name));
  return function;
}

bool FunctionLowering::ends_slice(uint32_t index) const {
  const Insn& here = insn(index);
  if (is_atomic(here)) return true;
  if (insn_class(here) == BPF_ST || insn_class(here) == BPF_STX) return !own_stack(index);
  if (!is_jump(here)) return false;
  if (is_exit(here)) return true;
  if (!is_call(here)) return jump_target(here, index) <= index;
  if (!is_helper_call(here)) return true;
  if (here.imm == BPF_FUNC_skb_load_bytes || here.imm == BPF_FUNC_get_smp_processor_id)
    return false;
  const int32_t map_index = fact(index).map_index;
  if (here.imm != BPF_FUNC_map_lookup_elem || map_index < 0) return true;
  const uint32_t type = owner_.program().maps[static_cast<size_t>(map_index)].core.type;
  return type != BPF_MAP_TYPE_ARRAY && type != BPF_MAP_TYPE_PERCPU_ARRAY;
}

bool FunctionLowering::lower_slice_end(uint32_t index) {
  const Insn& here = insn(index);
  if (takes_key(here) && fact(index).map_index == slice_of_) {
    const uint32_t key_size = owner_.program().maps[static_cast<size_t>(slice_of_)].core.key_size;
    auto* operation = owner_.map_operation("sluice_rt_prefetch_bucket", slice_of_);
    b_.CreateRet(b_.CreateCall(operation, {ctx_, memory_argument(index, 1, key_size, true)}));
    return true;
  }
  if (!ends_slice(index)) return false;
  b_.CreateRet(b_.getInt64(0));
  return true;
}

}  // namespace sluice::bpf::jit
