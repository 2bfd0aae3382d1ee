#include "bpf/interp/memory.hpp"

#include "bpf/isa/opcode_new.hpp"

namespace sluice::bpf {
namespace {

template <class T>
T load_as(uint64_t address) {
  if (address % sizeof(T) == 0)
    return __atomic_load_n(reinterpret_cast<const T*>(address), __ATOMIC_RELAXED);
  T value;
  __builtin_memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
  return value;
}

template <class T>
void store_as(uint64_t address, uint64_t value) {
  const auto narrow = static_cast<T>(value);
  if (address % sizeof(T) == 0) {
    __atomic_store_n(reinterpret_cast<T*>(address), narrow, __ATOMIC_RELAXED);
  } else {
    __builtin_memcpy(reinterpret_cast<void*>(address), &narrow, sizeof narrow);
  }
}

uint64_t signed_value(uint64_t value, uint32_t size) {
  const uint32_t shift = 64 - size * 8;
  return static_cast<uint64_t>(static_cast<int64_t>(value << shift) >> shift);
}

// Applies one atomic and returns the old value. Fetching forms are fully ordered, the others
// relaxed (RFC 9669, 5.3).
template <class T>
T exchange(int32_t op, T* at, T operand, T expected) {
  switch (op & ~BPF_FETCH) {
    case BPF_ADD: return __atomic_fetch_add(at, operand, __ATOMIC_SEQ_CST);
    case BPF_AND: return __atomic_fetch_and(at, operand, __ATOMIC_SEQ_CST);
    case BPF_OR: return __atomic_fetch_or(at, operand, __ATOMIC_SEQ_CST);
    case BPF_XOR: return __atomic_fetch_xor(at, operand, __ATOMIC_SEQ_CST);
    case BPF_XCHG & ~BPF_FETCH: return __atomic_exchange_n(at, operand, __ATOMIC_SEQ_CST);
    default:  // CMPXCHG
      __atomic_compare_exchange_n(at, &expected, operand, false, __ATOMIC_SEQ_CST,
                                  __ATOMIC_SEQ_CST);
      return expected;
  }
}

template <class T>
void atomic_as(const Insn& insn, uint64_t* registers) {
  auto* at =
      reinterpret_cast<T*>(registers[insn.dst_reg] + static_cast<uint64_t>(int64_t{insn.off}));
  const T old = exchange<T>(insn.imm, at, static_cast<T>(registers[insn.src_reg]),
                            static_cast<T>(registers[BPF_REG_0]));
  if (insn.imm == BPF_CMPXCHG) {
    registers[BPF_REG_0] = old;
  } else if ((insn.imm & BPF_FETCH) != 0) {
    registers[insn.src_reg] = old;
  }
}

}  // namespace

uint64_t load_memory(const Insn& insn, uint64_t base) {
  const uint64_t address = base + static_cast<uint64_t>(int64_t{insn.off});
  uint64_t value = 0;
  switch (access_size(insn)) {
    case 1: value = load_as<uint8_t>(address); break;
    case 2: value = load_as<uint16_t>(address); break;
    case 4: value = load_as<uint32_t>(address); break;
    default: return load_as<uint64_t>(address);
  }
  return insn_mode(insn) == kModeMemSx ? signed_value(value, access_size(insn)) : value;
}

void store_memory(const Insn& insn, uint64_t base, uint64_t value) {
  const uint64_t address = base + static_cast<uint64_t>(int64_t{insn.off});
  switch (access_size(insn)) {
    case 1: store_as<uint8_t>(address, value); break;
    case 2: store_as<uint16_t>(address, value); break;
    case 4: store_as<uint32_t>(address, value); break;
    default: store_as<uint64_t>(address, value);
  }
}

namespace {

// RFC 9669 has no such pair yet; Linux: BPF_LOAD_ACQ and BPF_STORE_REL. x86 orders plain accesses
// so.
void ordered_load(const Insn& insn, uint64_t* registers) {
  registers[insn.dst_reg] = load_memory(insn, registers[insn.src_reg]);
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
}
void ordered_store(const Insn& insn, uint64_t* registers) {
  __atomic_thread_fence(__ATOMIC_RELEASE);
  store_memory(insn, registers[insn.dst_reg], registers[insn.src_reg]);
}

}  // namespace

void atomic(const Insn& insn, uint64_t* registers) {
  if (insn.imm == kLoadAcquire) return ordered_load(insn, registers);
  if (insn.imm == kStoreRelease) return ordered_store(insn, registers);
  if (access_size(insn) == 4) {
    atomic_as<uint32_t>(insn, registers);
  } else {
    atomic_as<uint64_t>(insn, registers);
  }
}

}  // namespace sluice::bpf
