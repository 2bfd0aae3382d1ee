// Bodies of maps without a key: queue, stack, bloom filter, ring buffer, perf events. Called by
// address.
#pragma once

#include <linux/bpf.h>

#include <cstdint>

#include "bpf/maps/map_ops.hpp"
#include "bpf/progs/packet_context.hpp"

namespace sluice::bpf {

inline bool is_in_ring(const MapCore* map, uint64_t record) {
  return record - reinterpret_cast<uint64_t>(map->values) <= map->bucket_mask;
}

// Notes that the run has records in this ring. False: in too many.
inline bool note_ring(PacketContext* ctx, const MapCore* map) {
  for (uint32_t i = 0; i < ctx->ring_count; i++) {
    if (ctx->rings[i]->values == map->values) return true;
  }
  if (ctx->ring_count == kMaxRings) return false;
  ctx->rings[ctx->ring_count++] = map;
  return true;
}

inline uint64_t finish_record(PacketContext* ctx, uint64_t record, uint64_t flags, uint32_t bits) {
  for (uint32_t i = 0; i < ctx->ring_count; i++) {
    if (is_in_ring(ctx->rings[i], record))
      ring_commit(ctx->rings[i], reinterpret_cast<void*>(record), flags, bits);
  }
  return 0;
}

}  // namespace sluice::bpf

extern "C" {

inline uint64_t sluice_helper_map_push_elem(sluice::bpf::PacketContext*, uint64_t map,
                                            uint64_t value, uint64_t flags, uint64_t, uint64_t) {
  using namespace sluice::bpf;
  return static_cast<uint64_t>(map_push_elem(reinterpret_cast<const MapCore*>(map),
                                             reinterpret_cast<const void*>(value), flags));
}

inline uint64_t sluice_helper_map_pop_elem(sluice::bpf::PacketContext*, uint64_t map,
                                           uint64_t value, uint64_t, uint64_t, uint64_t) {
  using namespace sluice::bpf;
  return static_cast<uint64_t>(
      map_pop_elem(reinterpret_cast<const MapCore*>(map), reinterpret_cast<void*>(value)));
}

inline uint64_t sluice_helper_map_peek_elem(sluice::bpf::PacketContext*, uint64_t map,
                                            uint64_t value, uint64_t, uint64_t, uint64_t) {
  using namespace sluice::bpf;
  return static_cast<uint64_t>(
      map_peek_elem(reinterpret_cast<const MapCore*>(map), reinterpret_cast<void*>(value)));
}

inline uint64_t sluice_helper_ringbuf_output(sluice::bpf::PacketContext*, uint64_t map,
                                             uint64_t data, uint64_t size, uint64_t flags,
                                             uint64_t) {
  using namespace sluice::bpf;
  return static_cast<uint64_t>(ring_output(reinterpret_cast<const MapCore*>(map),
                                           reinterpret_cast<const void*>(data), size, flags));
}

inline uint64_t sluice_helper_ringbuf_reserve(sluice::bpf::PacketContext* ctx, uint64_t map,
                                              uint64_t size, uint64_t flags, uint64_t, uint64_t) {
  using namespace sluice::bpf;
  const auto* ring = reinterpret_cast<const MapCore*>(map);
  return note_ring(ctx, ring) ? reinterpret_cast<uint64_t>(ring_reserve(ring, size, flags)) : 0;
}

inline uint64_t sluice_helper_ringbuf_submit(sluice::bpf::PacketContext* ctx, uint64_t record,
                                             uint64_t flags, uint64_t, uint64_t, uint64_t) {
  return sluice::bpf::finish_record(ctx, record, flags, 0);
}

inline uint64_t sluice_helper_ringbuf_discard(sluice::bpf::PacketContext* ctx, uint64_t record,
                                              uint64_t flags, uint64_t, uint64_t, uint64_t) {
  return sluice::bpf::finish_record(ctx, record, flags, BPF_RINGBUF_DISCARD_BIT);
}

inline uint64_t sluice_helper_ringbuf_query(sluice::bpf::PacketContext*, uint64_t map,
                                            uint64_t what, uint64_t, uint64_t, uint64_t) {
  using namespace sluice::bpf;
  return ring_query(reinterpret_cast<const MapCore*>(map), what);
}

inline uint64_t sluice_helper_perf_event_output(sluice::bpf::PacketContext* ctx, uint64_t,
                                                uint64_t map, uint64_t flags, uint64_t data,
                                                uint64_t size) {
  using namespace sluice::bpf;
  const PerfSample sample{reinterpret_cast<const void*>(data), size, ctx->data, ctx->captured,
                          sluice_helper_ktime_get_ns(ctx, 0, 0, 0, 0, 0)};
  return static_cast<uint64_t>(
      perf_event_output(reinterpret_cast<const MapCore*>(map), flags, ctx->env->slot, sample));
}

}  // extern "C"
