// An array's values a worker (private_copies.hpp), and what a user sees of them: each added field
// is the value's plus those of all copies. Part of an ArrayMap, which says who may call what when.
// Control threads.
//
// In a store they are the part "added", made when the first program only adds: a page with the
// fields, then the copies. A kill loses nothing, since a worker's add is one store and sums are
// made at each read. A kill within the fold may count one field of one copy twice: the value has it
// already, the copy still.
#pragma once

#include <vector>

#include "base/result.hpp"
#include "bpf/maps/added_fields.hpp"
#include "bpf/maps/map_core.hpp"
#include "bpf/maps/map_memory.hpp"
#include "bpf/maps/private_copies.hpp"

namespace sluice::bpf {

class ArrayCopies {
 public:
  // Whether an array of this shape may have copies.
  static bool allowed(const MapCore& core);
  // Those that a store was left with, if any. errors: EBADMSG (none that we left), map_file's.
  Status reopen(const MapCore& core, MapStore& store);
  // There are copies from now on, all zeros. errors: ENOSPC, ENOMEM.
  Status make(const MapCore& core, MapStore* store);
  // Programs add to these fields too. False, with nothing changed: not together with the others.
  bool join(const std::vector<AddedField>& fields);

  // Workers add to their copies, or no longer; those in the middle of a burst still may. True: they
  // did.
  void start();
  bool stop();
  // Moves what is in the copies to the values. No worker adds to them any more.
  void fold();

  // A value as it lies in the map to what a user sees, and back.
  void add_sums(uint32_t index, void* value) const { change(index, value, true); }
  void take_sums(uint32_t index, void* value) const { change(index, value, false); }

  [[nodiscard]] bool made() const { return memory_.data() != nullptr; }
  [[nodiscard]] bool adding() const { return __atomic_load_n(&adding_, __ATOMIC_RELAXED) != 0; }
  [[nodiscard]] bool has_fields() const { return !fields_.empty(); }
  [[nodiscard]] PrivateCopies view() const;
  [[nodiscard]] uint64_t bytes() const { return memory_.bytes(); }
  [[nodiscard]] FileLoss file_loss() const { return memory_.file_loss(); }

 private:
  struct Header;
  [[nodiscard]] Header* header() const { return reinterpret_cast<Header*>(memory_.data()); }
  void take(const MapCore& core, MapMemory memory);
  template <class Word>
  [[nodiscard]] Word* place(uint32_t copy, uint64_t index, uint32_t offset) const;
  template <class Word>
  [[nodiscard]] Word sum(uint32_t index, uint32_t offset) const;
  template <class Word>
  void change_field(uint32_t index, uint32_t offset, void* value, bool add) const;
  void change(uint32_t index, void* value, bool add) const;
  template <class Word>
  void fold_field(uint64_t index, uint32_t offset);

  MapCore core_{};
  MapMemory memory_;
  uint64_t distance_ = 0;
  uint32_t count_ = 0;
  std::vector<AddedField> fields_;
  alignas(64) uint32_t adding_ = 0;  // PrivateCopies::adding; 0 or count_. worker: ro, control: rw
};

}  // namespace sluice::bpf
