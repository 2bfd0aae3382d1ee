// bpf_perf_event_output. Shared by the binary and the JIT's bitcode. A ring belongs to one slot,
// and a slot to one thread at a time, so there is one writer and no lock (a test run takes the
// highest slot, which is a worker's too where every possible CPU has one). The reader can write to
// what it maps: its position says only how much is free.
#pragma once

#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>

#include <cstddef>
#include <cstdint>

#include "base/perf_ring.hpp"
#include "bpf/maps/map_core.hpp"
#include "bpf/maps/reference_ops.hpp"

namespace sluice::bpf {

// What an element of a perf_event_array points at.
struct PerfRing {
  // positions, then the data; null: an event of the kernel's, which it alone writes to
  uint8_t* page = nullptr;
  uint64_t data_bytes = 0;  // a power of two; 0: not mapped by its reader
  uint64_t head = 0;        // the slot's thread: rw
  uint64_t lost = 0;        // records since the last one that had room; the same
  uint64_t samples = 0;     // since the last wake-up; the same
  uint64_t woken_at = 0;    // position that the last wake-up by bytes was due at; the same
  uint64_t wakeup_bytes = 0;   // as PerfRingMark has it, but 0 only with data_bytes
  uint32_t wakeup_events = 0;  // as PerfRingMark has it
  uint32_t cpu = 0;            // the slot
  bool with_time = false;      // samples begin with the time
};

struct PerfLost {
  perf_event_header header;
  uint64_t id, lost;
};

inline void perf_put(PerfRing* ring, uint64_t at, const void* from, uint64_t size) {
  if (size == 0) return;
  uint8_t* data = ring->page + kPerfPage;
  const uint64_t offset = at & (ring->data_bytes - 1);
  const uint64_t first = size < ring->data_bytes - offset ? size : ring->data_bytes - offset;
  __builtin_memcpy(data + offset, from, first);
  __builtin_memcpy(data, static_cast<const uint8_t*>(from) + first, size - first);
}

inline uint64_t* perf_word(PerfRing* ring, size_t offset) {
  return reinterpret_cast<uint64_t*>(ring->page + offset);
}

inline uint32_t* perf_wakeups(const PerfRing* ring) {
  return reinterpret_cast<uint32_t*>(ring->page + kPerfMarkAt + offsetof(PerfRingMark, wakeups));
}

// A sample has been put into the ring: counts a wake-up of the reader where one is due.
inline void perf_wake(PerfRing* ring) {
  const bool by_samples = ring->wakeup_events != 0 && ++ring->samples >= ring->wakeup_events;
  const bool by_bytes = ring->head - ring->woken_at > ring->wakeup_bytes;
  if (by_samples) ring->samples = 0;
  if (by_bytes) ring->woken_at += ring->wakeup_bytes;
  if (by_samples || by_bytes) __atomic_fetch_add(perf_wakeups(ring), 1, __ATOMIC_RELEASE);
}

// What is to be sent: `size` bytes, and `packet_size` of the packet's behind them.
struct PerfSample {
  const void* data;
  uint64_t size;
  const void* packet;
  uint64_t packet_size;
  uint64_t time_ns;  // CLOCK_MONOTONIC
};

// A PERF_RECORD_SAMPLE, filled up to 8 bytes; before it a PERF_RECORD_LOST where some had no room.
// ENOSPC: no room. E2BIG: more than a record holds. ENOENT: nobody has mapped it.
inline long perf_write(PerfRing* ring, const PerfSample& sample) {
  if (ring->data_bytes == 0) return -ENOENT;
  const uint64_t time_bytes = ring->with_time ? sizeof sample.time_ns : 0;
  const uint64_t front = sizeof(perf_event_header) + time_bytes;
  const uint64_t bytes = (front + sizeof(uint32_t) + sample.size + sample.packet_size + 7) & ~7ull;
  if (bytes > UINT16_MAX) return -E2BIG;
  const uint64_t lost_bytes = ring->lost == 0 ? 0 : sizeof(PerfLost);
  const uint64_t tail =
      __atomic_load_n(perf_word(ring, offsetof(perf_event_mmap_page, data_tail)), __ATOMIC_ACQUIRE);
  const uint64_t used = ring->head - tail;
  if (used > ring->data_bytes || bytes + lost_bytes > ring->data_bytes - used) {
    ring->lost++;
    return -ENOSPC;
  }
  uint64_t at = ring->head;
  const auto put = [&](const void* from, uint64_t size) {
    perf_put(ring, at, from, size);
    at += size;
  };
  const PerfLost lost{{PERF_RECORD_LOST, 0, sizeof(PerfLost)}, 0, ring->lost};
  put(&lost, lost_bytes);
  ring->lost = 0;
  const perf_event_header header{PERF_RECORD_SAMPLE, 0, static_cast<uint16_t>(bytes)};
  // with what fills it up, as the kernel's
  const auto raw = static_cast<uint32_t>(bytes - front - sizeof(uint32_t));
  const uint64_t zero = 0;
  put(&header, sizeof header);
  put(&sample.time_ns, time_bytes);
  put(&raw, sizeof raw);
  put(sample.data, sample.size);
  put(sample.packet, sample.packet_size);
  put(&zero, raw - sample.size - sample.packet_size);
  ring->head = at;
  __atomic_store_n(perf_word(ring, offsetof(perf_event_mmap_page, data_head)), ring->head,
                   __ATOMIC_RELEASE);
  perf_wake(ring);
  return 0;
}

// `sample` has all of the packet; how much of it is sent, the flags say. Besides perf_write's:
// EINVAL (flags), E2BIG (index), ENOENT (empty slot), EOPNOTSUPP (the kernel's event, or another
// CPU's), EFAULT (more of the packet than there is).
inline long perf_event_output(const MapCore* map, uint64_t flags, uint32_t slot,
                              PerfSample sample) {
  if ((flags & ~uint64_t{BPF_F_INDEX_MASK | BPF_F_CTXLEN_MASK}) != 0) return -EINVAL;
  const uint64_t wanted = (flags & BPF_F_CTXLEN_MASK) >> 32;
  if (wanted > sample.packet_size) return -EFAULT;
  sample.packet_size = wanted;
  const uint64_t chosen = flags & BPF_F_INDEX_MASK;
  const uint64_t index = chosen == BPF_F_CURRENT_CPU ? slot : chosen;
  if (index >= map->max_entries) return -E2BIG;
  auto* ring =
      static_cast<PerfRing*>(const_cast<void*>(reference_at(map, static_cast<uint32_t>(index))));
  if (ring == nullptr) return -ENOENT;
  if (ring->page == nullptr || ring->cpu != slot) return -EOPNOTSUPP;
  return perf_write(ring, sample);
}

}  // namespace sluice::bpf
