#include "bpf/maps/hash_free.hpp"

using namespace sluice::bpf;

namespace {

constexpr uint32_t kQueueTries = 1000;
constexpr uint32_t kChainMax = kMagazineMax / 2;

uint64_t counted(uint64_t previous, uint32_t reference) {
  return ((previous >> 32) + 1) << 32 | reference;
}
uint32_t reference_of(uint64_t link) { return static_cast<uint32_t>(link); }
uint64_t load_link(const uint64_t* link) { return __atomic_load_n(link, __ATOMIC_ACQUIRE); }
bool swap_link(uint64_t* link, uint64_t from, uint64_t to) {
  return __atomic_compare_exchange_n(link, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}
uint64_t* link_of(const MapCore* map, uint32_t reference) {
  return &hash_element(map, reference)->free_link;
}

// At most `most` elements that were never used.
uint32_t take_unused(const MapCore* map, uint32_t most, uint32_t* references) {
  HashTable* table = hash_table(map);
  if (__atomic_load_n(&table->never_used, __ATOMIC_RELAXED) > table->total) return 0;
  const uint64_t first = __atomic_fetch_add(&table->never_used, most, __ATOMIC_RELAXED);
  uint32_t count = 0;
  for (; count < most && first + count <= table->total; count++)
    references[count] = static_cast<uint32_t>(first + count);
  return count;
}

// The same from the queue's head: the dummy and those that follow, up to the tail, the last of
// which becomes the dummy. What a walk reads of elements that left the queue meanwhile is thrown
// away when the head's count has changed.
uint32_t take_queued(const MapCore* map, uint32_t most, uint32_t* references) {
  HashTable* table = hash_table(map);
  for (uint32_t i = 0; i < kQueueTries; i++) {
    const uint64_t head = load_link(&table->free_head);
    const uint64_t tail = load_link(&table->free_tail);
    uint32_t at = reference_of(head);
    uint32_t count = 0;
    while (count < most && at != reference_of(tail)) {
      const uint32_t next = reference_of(load_link(link_of(map, at)));
      if (next == 0) break;
      references[count++] = at;
      at = next;
    }
    if (count != 0) {
      if (swap_link(&table->free_head, head, counted(head, at))) return count;
    } else if (at == reference_of(tail)) {
      const uint64_t next = load_link(link_of(map, at));
      if (head != load_link(&table->free_head)) continue;
      if (reference_of(next) == 0) return 0;
      swap_link(&table->free_tail, tail, counted(tail, reference_of(next)));
    }
  }
  return 0;
}

// To the queue's tail. Each failed round is another writer's success, and writers are few: it ends.
void give_queued(const MapCore* map, const uint32_t* references, uint32_t count) {
  HashTable* table = hash_table(map);
  for (uint32_t i = 0; i < count; i++) {
    uint64_t* own = link_of(map, references[i]);
    __atomic_store_n(own, counted(load_link(own), i + 1 < count ? references[i + 1] : 0),
                     __ATOMIC_RELEASE);
  }
  for (;;) {
    const uint64_t tail = load_link(&table->free_tail);
    uint64_t* last = link_of(map, reference_of(tail));
    const uint64_t next = load_link(last);
    if (tail != load_link(&table->free_tail)) continue;
    if (reference_of(next) != 0) {
      swap_link(&table->free_tail, tail, counted(tail, reference_of(next)));
    } else if (swap_link(last, next, counted(next, references[0]))) {
      swap_link(&table->free_tail, tail, counted(tail, references[count - 1]));
      return;
    }
  }
}

// Half a magazine moves at once, so that a writer on the edge does not go to the queue each time.
uint32_t chain_length(const MapCore* map) {
  return map->magazine_capacity < 2 ? 1 : map->magazine_capacity / 2;
}

}  // namespace

extern "C" uint32_t sluice_hash_take_slowly(const MapCore* map, HashMagazine* magazine) {
  uint32_t references[kChainMax];
  const uint32_t most = magazine == nullptr ? 1 : chain_length(map);
  uint32_t count = take_unused(map, most, references);
  if (count == 0) count = take_queued(map, most, references);
  for (uint32_t i = 1; i < count; i++) push_newest(magazine, references[i]);
  return count == 0 ? 0 : references[0];
}

extern "C" void sluice_hash_give_slowly(const MapCore* map, HashMagazine* magazine,
                                        uint32_t reference) {
  if (magazine == nullptr) return give_queued(map, &reference, 1);
  uint32_t references[kChainMax];
  const uint32_t count = chain_length(map);
  for (uint32_t i = 0; i < count; i++) references[i] = pop_oldest(magazine);
  give_queued(map, references, count);
  push_newest(magazine, reference);
}
