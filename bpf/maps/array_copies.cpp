#include "bpf/maps/array_copies.hpp"

#include <linux/bpf.h>

#include <algorithm>
#include <cstring>

#include "bpf/maps/map_store.hpp"
#include "bpf/maps/worker_count.hpp"

namespace sluice::bpf {
namespace {

constexpr uint64_t kValuesMax = 1u << 20;  // of which there are as many as workers
constexpr const char* kPart = "added";

uint64_t distance_of(const MapCore& core) {
  return MapMemory::rounded(uint64_t{core.max_entries} * core.value_stride);
}

bool fits(const MapCore& core, AddedField field) {
  if (field.width != 4 && field.width != 8) return false;
  if (field.offset % field.width != 0) return false;
  return uint64_t{field.offset} + field.width <= core.value_size;
}

}  // namespace

// The first page. `count` tells of a field that is whole.
struct ArrayCopies::Header {
  uint64_t count;
  AddedField fields[kMaxAddedFields];
};

bool ArrayCopies::allowed(const MapCore& core) {
  constexpr uint32_t kOthersWrite = BPF_F_MMAPABLE | BPF_F_INNER_MAP | BPF_F_RDONLY_PROG;
  if (core.type != BPF_MAP_TYPE_ARRAY || (core.flags & kOthersWrite) != 0) return false;
  return core.spin_lock_offset < 0 && distance_of(core) <= kValuesMax;
}

void ArrayCopies::take(const MapCore& core, MapMemory memory) {
  static_assert(sizeof(Header) <= 4096);
  core_ = core;
  distance_ = distance_of(core);
  memory_ = std::move(memory);
  count_ = static_cast<uint32_t>((memory_.bytes() - MapMemory::rounded(1)) / distance_);
}

Status ArrayCopies::make(const MapCore& core, MapStore* store) {
  const uint64_t bytes = MapMemory::rounded(1) + worker_count() * distance_of(core);
  auto memory =
      store != nullptr ? store->late_part(kPart, bytes) : MapMemory::allocate(bytes, true);
  if (!memory) return fail(std::move(memory.error()));
  take(core, std::move(*memory));
  return {};
}

Status ArrayCopies::reopen(const MapCore& core, MapStore& store) {
  if (!store.has(kPart)) return {};
  auto memory = store.late_part(kPart, 0);
  if (!memory) return fail(std::move(memory.error()));
  take(core, std::move(*memory));
  // As many copies as there were workers where it was made; a kill may have come before all were.
  const uint64_t over = (memory_.bytes() - MapMemory::rounded(1)) % distance_;
  if (header()->count != 0 && (count_ == 0 || over != 0)) {
    return fail(EBADMSG, std::to_string(memory_.bytes()) + " bytes with copies of " +
                             std::to_string(distance_));
  }
  if (header()->count > kMaxAddedFields) {
    return fail(EBADMSG, "more added fields than there can be");
  }
  for (uint64_t i = 0; i < header()->count; i++) {
    const AddedField field = header()->fields[i];
    if (!fits(core, field) || !add_field(&fields_, field) || fields_.size() != i + 1) {
      return fail(EBADMSG, "an added field that cannot be");
    }
  }
  return {};
}

// What has been added is known to be added before anybody does.
bool ArrayCopies::join(const std::vector<AddedField>& fields) {
  std::vector<AddedField> all = fields_;
  for (const AddedField field : fields) {
    if (!fits(core_, field) || !add_field(&all, field)) return false;
  }
  uint64_t count = header()->count;
  for (const AddedField field : fields) {
    if (std::ranges::find(fields_, field) == fields_.end()) header()->fields[count++] = field;
  }
  __atomic_store_n(&header()->count, count, __ATOMIC_RELEASE);
  fields_ = std::move(all);
  return true;
}

void ArrayCopies::start() { __atomic_store_n(&adding_, count_, __ATOMIC_RELEASE); }

bool ArrayCopies::stop() { return __atomic_exchange_n(&adding_, 0u, __ATOMIC_SEQ_CST) != 0; }

template <class Word>
Word* ArrayCopies::place(uint32_t copy, uint64_t index, uint32_t offset) const {
  uint8_t* values = memory_.data() + MapMemory::rounded(1) + copy * distance_;
  return reinterpret_cast<Word*>(values + index * core_.value_stride + offset);
}

template <class Word>
Word ArrayCopies::sum(uint32_t index, uint32_t offset) const {
  Word total = 0;
  for (uint32_t copy = 0; copy < count_; copy++) {
    total += __atomic_load_n(place<Word>(copy, index, offset), __ATOMIC_RELAXED);
  }
  return total;
}

// A user's value need not be aligned.
template <class Word>
void ArrayCopies::change_field(uint32_t index, uint32_t offset, void* value, bool add) const {
  auto* at = static_cast<uint8_t*>(value) + offset;
  Word word;
  std::memcpy(&word, at, sizeof word);
  word = add ? word + sum<Word>(index, offset) : word - sum<Word>(index, offset);
  std::memcpy(at, &word, sizeof word);
}

void ArrayCopies::change(uint32_t index, void* value, bool add) const {
  for (const AddedField field : fields_) {
    field.width == 8 ? change_field<uint64_t>(index, field.offset, value, add)
                     : change_field<uint32_t>(index, field.offset, value, add);
  }
}

// Programs add to the values meanwhile.
template <class Word>
void ArrayCopies::fold_field(uint64_t index, uint32_t offset) {
  auto* value = reinterpret_cast<Word*>(core_.values + index * core_.value_stride + offset);
  for (uint32_t copy = 0; copy < count_; copy++) {
    Word* own = place<Word>(copy, index, offset);
    const Word amount = __atomic_load_n(own, __ATOMIC_RELAXED);
    if (amount == 0) continue;
    __atomic_fetch_add(value, amount, __ATOMIC_SEQ_CST);
    __atomic_store_n(own, Word{0}, __ATOMIC_SEQ_CST);
  }
}

void ArrayCopies::fold() {
  for (uint64_t index = 0; has_fields() && index < core_.max_entries; index++) {
    for (const AddedField field : fields_) {
      field.width == 8 ? fold_field<uint64_t>(index, field.offset)
                       : fold_field<uint32_t>(index, field.offset);
    }
  }
  if (made()) __atomic_store_n(&header()->count, uint64_t{0}, __ATOMIC_RELEASE);
  fields_.clear();
}

PrivateCopies ArrayCopies::view() const {
  if (!made()) return {};
  return {core_.values, place<uint8_t>(0, 0, 0), distance_, &adding_};
}

}  // namespace sluice::bpf
