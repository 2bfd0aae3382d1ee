#include "bpf/maps/array_redo.hpp"

#include <atomic>
#include <cstring>

namespace sluice::bpf {

// A kill loses no store that came before the last one in program order: compiler barriers and x86's order of stores
// suffice, which are what release and the fences here cost.
void ArrayRedo::begin(uint32_t index, const void* from) {
  if (memory_.data() == nullptr) return;
  slot()->index = index;
  std::memcpy(value(), from, value_bytes_);
  std::atomic_thread_fence(std::memory_order_release);
  __atomic_store_n(&slot()->whole, 1, __ATOMIC_RELEASE);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void ArrayRedo::end() {
  if (memory_.data() != nullptr) __atomic_store_n(&slot()->whole, 0, __ATOMIC_RELEASE);
}

bool ArrayRedo::pending(uint32_t* index, const uint8_t** from) const {
  if (memory_.data() == nullptr || slot()->whole == 0) return false;
  *index = static_cast<uint32_t>(slot()->index);
  *from = value();
  return true;
}

}  // namespace sluice::bpf
