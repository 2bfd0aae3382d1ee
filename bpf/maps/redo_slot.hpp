// Makes the control side's update of a value in place all or nothing for whoever opens the store
// after a kill: the new value is written here first, whole, then into the map. Opening the map
// finishes what was begun. One writer at a time (the map locks). Array elements by index, a hash's
// by reference (BPF_F_LOCK).
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "bpf/maps/map_memory.hpp"

namespace sluice::bpf {

class RedoSlot {
 public:
  RedoSlot() = default;  // none: updates are as atomic as stores are
  // The part "redo" of the store.
  static Result<RedoSlot> open(MapStore& store, uint32_t value_bytes);

  // Before the stores into the map, and after them.
  void begin(uint32_t index, const void* value);
  void end();
  // The update that was under way when the last writer died: its index and value; false: there was
  // none.
  [[nodiscard]] bool pending(uint32_t* index, const uint8_t** value) const;

 private:
  struct Slot {
    uint64_t whole;  // not 0: index and value are complete
    uint64_t index;
  };

  RedoSlot(MapMemory memory, uint32_t value_bytes)
      : memory_(std::move(memory)), value_bytes_(value_bytes) {}
  [[nodiscard]] Slot* slot() const { return reinterpret_cast<Slot*>(memory_.data()); }
  [[nodiscard]] uint8_t* value() const { return memory_.data() + sizeof(Slot); }

  MapMemory memory_;
  uint32_t value_bytes_ = 0;
};

}  // namespace sluice::bpf
