// Ring buffer as a program sees it. Shared by the binary and the JIT's bitcode; any thread.
//
// What clients map: a page with the consumer's position, a page with the producer's and,
// kRingWakeups behind it, a count of the times that the consumer should have been woken (for
// futex(2); Linux has none), the data, and behind it room for a mapping's second copy of the data,
// which stays empty: a file cannot hold the same bytes twice. So no record crosses the end: a
// discarded one fills up the rest, which consumers skip. A record is a header of 8 bytes (length,
// BUSY and DISCARD bits, page) and its bytes, rounded up to 8.
//
// Clients can write to what they map, so nothing there is believed: positions and lengths are kept
// in RingTable; the consumer's position only says how much is free, and is ignored where it makes
// no sense.
#pragma once

#include <errno.h>
#include <linux/bpf.h>

#include <cstdint>

#include "bpf/maps/map_core.hpp"
#include "bpf/maps/spin_lock_ops.hpp"

namespace sluice::bpf {

inline constexpr uint32_t kRingPage = 4096;
inline constexpr uint32_t kRingHeader = BPF_RINGBUF_HDR_SZ;
inline constexpr uint32_t kRingLockTries = 1000;
// bytes into the producer's page: off the position's cache line
inline constexpr uint32_t kRingWakeups = 64;
inline constexpr uint32_t kRingScan = 256;  // finished records a reserve passes over at most

// At MapCore::table; MapCore::values is the data, MapCore::bucket_mask its size - 1.
struct alignas(64) RingTable {
  uint32_t lock;
  uint64_t producer;   // lock holder: rw, others: ro
  uint64_t pending;    // the same: everything before it is committed
  uint64_t dropped;    // reserves without room
// then a word for each 8 bytes of data: length of the record that starts there, and its BUSY bit
};

inline RingTable* ring_table(const MapCore* map) { return static_cast<RingTable*>(map->table); }
inline uint32_t* ring_record(const MapCore* map, uint64_t position) {
  return reinterpret_cast<uint32_t*>(ring_table(map) + 1) + (position & map->bucket_mask) / 8;
}
inline uint64_t* ring_consumer_page(const MapCore* map) {
  return reinterpret_cast<uint64_t*>(map->values - 2 * kRingPage);
}
inline uint64_t* ring_producer_page(const MapCore* map) {
  return reinterpret_cast<uint64_t*>(map->values - kRingPage);
}

inline uint32_t* ring_wakeups(const MapCore* map) {
  return reinterpret_cast<uint32_t*>(map->values - kRingPage + kRingWakeups);
}
inline void ring_wake(const MapCore* map) {
  __atomic_fetch_add(ring_wakeups(map), 1, __ATOMIC_RELEASE);
}

inline uint64_t ring_consumer(const MapCore* map) {
  return __atomic_load_n(ring_consumer_page(map), __ATOMIC_SEQ_CST);
}

// The consumer cannot be ahead of the producer nor a ring behind it; a client that says so gets no
// more records.
inline uint64_t ring_used(const MapCore* map, uint64_t producer) {
  const uint64_t used = producer - ring_consumer(map);
  return used <= uint64_t{map->bucket_mask} + 1 ? used : uint64_t{map->bucket_mask} + 1;
}

inline uint64_t ring_record_bytes(uint32_t length) {
  return (uint64_t{length} + kRingHeader + 7) & ~7ull;
}

inline void ring_store_header(const MapCore* map, uint64_t position, uint32_t length_and_bits) {
  const uint64_t offset = position & map->bucket_mask;
  auto* header = reinterpret_cast<uint32_t*>(map->values + offset);
  __atomic_store_n(header + 1, static_cast<uint32_t>((offset + 2 * kRingPage) / kRingPage),
                   __ATOMIC_RELAXED);
  // An exchange, since the producer then looks at the consumer's position, and the consumer does
  // the reverse.
  (void)__atomic_exchange_n(header, length_and_bits, __ATOMIC_SEQ_CST);
}

// Lock held. The next record's start after `position` once that is given out.
inline void ring_put_record(const MapCore* map, uint64_t position, uint32_t length, uint32_t bits) {
  __atomic_store_n(ring_record(map, position), length | (bits & BPF_RINGBUF_BUSY_BIT),
                   __ATOMIC_RELAXED);
  ring_store_header(map, position, length | bits);
}

inline void ring_publish(const MapCore* map, uint64_t producer) {
  __atomic_store_n(&ring_table(map)->producer, producer, __ATOMIC_RELAXED);
  __atomic_store_n(ring_producer_page(map), producer, __ATOMIC_RELEASE);
}

// Lock held. Busy records are not overwritten even where the consumer claims to have passed them.
inline void ring_pass_finished(const MapCore* map) {
  RingTable* table = ring_table(map);
  for (uint32_t i = 0; i < kRingScan && table->pending < table->producer; i++) {
    const uint32_t record = __atomic_load_n(ring_record(map, table->pending), __ATOMIC_ACQUIRE);
    if ((record & BPF_RINGBUF_BUSY_BIT) != 0) return;
    table->pending += ring_record_bytes(record);
  }
}

// Lock held. Null: no room.
inline void* ring_take(const MapCore* map, uint32_t length) {
  RingTable* table = ring_table(map);
  const uint64_t size = uint64_t{map->bucket_mask} + 1;
  const uint64_t bytes = ring_record_bytes(length);
  ring_pass_finished(map);
  const uint64_t rest = size - (table->producer & map->bucket_mask);
  const uint64_t padding = bytes > rest ? rest : 0;
  const uint64_t used = ring_used(map, table->producer);
  const uint64_t end = table->producer + padding + bytes;
  const bool fits =
      used + padding + bytes <= map->bucket_mask && end - table->pending <= map->bucket_mask;
  // In an empty ring the padding alone is committed, so that the next reserve finds room.
  if (!fits && (padding == 0 || used != 0)) return nullptr;
  if (padding != 0) {
    ring_put_record(map, table->producer, static_cast<uint32_t>(padding) - kRingHeader,
                    BPF_RINGBUF_DISCARD_BIT);
  }
  if (!fits) {
    ring_publish(map, table->producer + padding);
    ring_wake(map);
    return nullptr;
  }
  const uint64_t position = table->producer + padding;
  ring_put_record(map, position, length, BPF_RINGBUF_BUSY_BIT);
  ring_publish(map, end);
  return map->values + (position & map->bucket_mask) + kRingHeader;
}

// bpf_ringbuf_reserve: 8-aligned bytes for the program alone until it submits or discards them.
// Null: no room, flags, or the lock is taken.
inline void* ring_reserve(const MapCore* map, uint64_t size, uint64_t flags) {
  if (flags != 0 || size > uint64_t{map->bucket_mask} + 1 - kRingHeader) return nullptr;
  RingTable* table = ring_table(map);
  if (!spin_try_lock(&table->lock, kRingLockTries)) return nullptr;
  void* sample = ring_take(map, static_cast<uint32_t>(size));
  if (sample == nullptr) __atomic_fetch_add(&table->dropped, 1, __ATOMIC_RELAXED);
  spin_unlock(&table->lock);
  return sample;
}

// Whether the consumer has read all before the record at `offset`; padding in front of it does not
// count.
inline bool ring_caught_up(const MapCore* map, uint64_t offset) {
  const uint64_t consumer = ring_consumer(map) & map->bucket_mask & ~7ull;
  if (consumer == offset) return true;
  if (offset != 0) return false;
  const uint32_t record =
      __atomic_load_n(reinterpret_cast<uint32_t*>(map->values + consumer), __ATOMIC_RELAXED);
  const uint32_t length = record & ~static_cast<uint32_t>(BPF_RINGBUF_DISCARD_BIT);
  return length != record && consumer + ring_record_bytes(length) == uint64_t{map->bucket_mask} + 1;
}

// bpf_ringbuf_submit (bits 0) and _discard (BPF_RINGBUF_DISCARD_BIT). The consumer is woken where
// it had read everything before, unless the flags say otherwise.
inline void ring_commit(const MapCore* map, void* sample, uint64_t flags, uint32_t bits) {
  const uint64_t offset =
      static_cast<uint64_t>(static_cast<uint8_t*>(sample) - map->values) - kRingHeader;
  uint32_t* record = ring_record(map, offset);
  const uint32_t length =
      __atomic_load_n(record, __ATOMIC_RELAXED) & ~static_cast<uint32_t>(BPF_RINGBUF_BUSY_BIT);
  ring_store_header(map, offset, length | bits);
  __atomic_store_n(record, length, __ATOMIC_RELEASE);
  if ((flags & BPF_RB_FORCE_WAKEUP) != 0) return ring_wake(map);
  if ((flags & BPF_RB_NO_WAKEUP) == 0 && ring_caught_up(map, offset)) ring_wake(map);
}

// bpf_ringbuf_output: 0, EINVAL (flags), EAGAIN (no room).
inline long ring_output(const MapCore* map, const void* data, uint64_t size, uint64_t flags) {
  if ((flags & ~uint64_t{BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP}) != 0) return -EINVAL;
  void* sample = ring_reserve(map, size, 0);
  if (sample == nullptr) return -EAGAIN;
  __builtin_memcpy(sample, data, size);
  ring_commit(map, sample, flags, 0);
  return 0;
}

inline uint64_t ring_query(const MapCore* map, uint64_t what) {
  const uint64_t producer = __atomic_load_n(&ring_table(map)->producer, __ATOMIC_ACQUIRE);
  switch (what) {
    case BPF_RB_AVAIL_DATA: return ring_used(map, producer);
    case BPF_RB_RING_SIZE: return uint64_t{map->bucket_mask} + 1;
    case BPF_RB_CONS_POS: return ring_consumer(map);
    case BPF_RB_PROD_POS: return producer;
    default: return 0;
  }
}

}  // namespace sluice::bpf
