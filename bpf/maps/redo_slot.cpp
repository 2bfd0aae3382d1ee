#include "bpf/maps/redo_slot.hpp"

#include <cstring>

#include "bpf/maps/map_store.hpp"

namespace sluice::bpf {

Result<RedoSlot> RedoSlot::open(MapStore& store, uint32_t value_bytes) {
  auto memory = store.part("redo", sizeof(Slot) + value_bytes, false);
  if (!memory) return fail(std::move(memory.error()));
  return RedoSlot(std::move(*memory), value_bytes);
}

// A kill loses no store that came before the last one in program order: the compiler's order and
// x86's order of stores suffice.
void RedoSlot::begin(uint32_t index, const void* from) {
  if (memory_.data() == nullptr) return;
  slot()->index = index;
  std::memcpy(value(), from, value_bytes_);
  // no store moves across it, either way
  (void)__atomic_exchange_n(&slot()->whole, 1, __ATOMIC_SEQ_CST);
}

void RedoSlot::end() {
  if (memory_.data() != nullptr) __atomic_store_n(&slot()->whole, 0, __ATOMIC_RELEASE);
}

bool RedoSlot::pending(uint32_t* index, const uint8_t** from) const {
  if (memory_.data() == nullptr || slot()->whole == 0) return false;
  *index = static_cast<uint32_t>(slot()->index);
  *from = value();
  return true;
}

}  // namespace sluice::bpf
