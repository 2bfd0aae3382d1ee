// Bodies that run other code: tail calls, loops, iteration. Shared with the JIT's bitcode.
//
// A callback argument is a function of a body's own shape: in machine code the subprogram, in the
// interpreter a way back into it. A tail call's body only finds the program; the engine that called
// it runs the target and leaves.
#pragma once

#include <linux/bpf.h>

#include <cerrno>
#include <cstdint>

#include "base/limits.hpp"
#include "bpf/helpers/helper.hpp"
#include "bpf/maps/map_ops.hpp"
#include "bpf/progs/packet_context.hpp"
#include "bpf/progs/tail_target.hpp"

namespace sluice::bpf {

// The target of a tail call, counted; null: no such element or too many calls, and the caller goes
// on.
[[gnu::always_inline]] inline const TailTarget* take_tail_call(PacketContext* ctx,
                                                               const MapCore* map, uint64_t index) {
  if (map->type != BPF_MAP_TYPE_PROG_ARRAY || ctx->tail_calls >= kMaxTailCalls) return nullptr;
  const auto* target =
      static_cast<const TailTarget*>(reference_at(map, static_cast<uint32_t>(index)));
  if (target != nullptr) ctx->tail_calls++;
  return target;
}

inline constexpr uint32_t kMaxLoops = 1u << 23;  // Linux: BPF_MAX_LOOPS

// What for_each_map_elem does with an element. True: the callback wants no more.
struct ElementVisitor {
  PacketContext* ctx;
  const MapCore* map;
  HelperBody callback;
  uint64_t callback_ctx;
  uint64_t visited;

  [[gnu::always_inline]] bool visit(const void* key, void* value) {
    visited++;
    return callback(ctx, reinterpret_cast<uint64_t>(map), reinterpret_cast<uint64_t>(key),
                    reinterpret_cast<uint64_t>(value), callback_ctx, 0) != 0;
  }
};

inline void visit_array(ElementVisitor& visitor) {
  const MapCore* map = visitor.map;
  for (uint32_t index = 0; index < map->max_entries; index++) {
    void* value = array_lookup(map, &index, visitor.ctx->env->slot);
    if (value == nullptr || visitor.visit(&index, value)) return;
  }
}

// The elements of one bucket; each one's successor is read before the callback, which may delete
// it.
inline bool visit_bucket(ElementVisitor& visitor, HashBucket* bucket) {
  const MapCore* map = visitor.map;
  const uint32_t slot = is_per_cpu_hash(map->type) ? visitor.ctx->env->slot : 0;
  const auto visit = [&](uint32_t reference) {
    return visitor.visit(hash_key_of(hash_element(map, reference)),
                         hash_value_of(map, reference, slot));
  };
  for (uint32_t lane = 0; lane < kLanes; lane++) {
    const uint64_t tags = __atomic_load_n(&bucket->tags[lane / 4], __ATOMIC_ACQUIRE);
    if ((tags >> (16 * (lane % 4)) & 0xffff) == 0) continue;
    if (visit(load_reference(&bucket->elements[lane]))) return true;
  }
  uint32_t reference = load_reference(&bucket->overflow);
  for (uint32_t steps = 0; steps <= map->max_entries && reference != 0; steps++) {
    const uint32_t next = load_reference(&hash_element(map, reference)->next);
    if (visit(reference)) return true;
    reference = next;
  }
  return false;
}

inline void visit_hash(ElementVisitor& visitor) {
  const MapCore* map = visitor.map;
  if (is_per_cpu_hash(map->type) && visitor.ctx->env->slot >= map->slots) return;
  for (uint64_t index = 0; index <= map->bucket_mask; index++) {
    if (visit_bucket(visitor, hash_bucket(map, index))) return;
  }
}

// Calls callback(map, key, value, callback_ctx) an element until it returns non-zero. The elements
// visited, or -EINVAL.
[[gnu::always_inline]] inline long for_each_element(PacketContext* ctx, const MapCore* map,
                                                    uint64_t callback, uint64_t callback_ctx,
                                                    uint64_t flags) {
  if (flags != 0) return -EINVAL;
  ElementVisitor visitor{ctx, map, reinterpret_cast<HelperBody>(callback), callback_ctx, 0};
  switch (map->type) {
    case BPF_MAP_TYPE_ARRAY:
    case BPF_MAP_TYPE_PERCPU_ARRAY: visit_array(visitor); break;
    case BPF_MAP_TYPE_HASH:
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_LRU_HASH:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH: visit_hash(visitor); break;
    default: return -EINVAL;
  }
  return static_cast<long>(visitor.visited);
}

}  // namespace sluice::bpf

extern "C" {

// Not as in Linux: R0 is the TailTarget to go on with, or 0. No program sees it.
inline uint64_t sluice_helper_tail_call(sluice::bpf::PacketContext* ctx, uint64_t, uint64_t map,
                                        uint64_t index, uint64_t, uint64_t) {
  using namespace sluice::bpf;
  return reinterpret_cast<uint64_t>(
      take_tail_call(ctx, reinterpret_cast<const MapCore*>(map), index));
}

inline uint64_t sluice_helper_for_each_map_elem(sluice::bpf::PacketContext* ctx, uint64_t map,
                                                uint64_t callback, uint64_t callback_ctx,
                                                uint64_t flags, uint64_t) {
  using namespace sluice::bpf;
  return static_cast<uint64_t>(
      for_each_element(ctx, reinterpret_cast<const MapCore*>(map), callback, callback_ctx, flags));
}

// callback(index, callback_ctx) up to `count` times, until it returns non-zero. The calls made,
// -E2BIG or -EINVAL.
inline uint64_t sluice_helper_loop(sluice::bpf::PacketContext* ctx, uint64_t count,
                                   uint64_t callback, uint64_t callback_ctx, uint64_t flags,
                                   uint64_t) {
  using namespace sluice::bpf;
  const auto body = reinterpret_cast<HelperBody>(callback);
  const auto limit = static_cast<uint32_t>(count);
  if (flags != 0) return static_cast<uint64_t>(-EINVAL);
  if (limit > kMaxLoops) return static_cast<uint64_t>(-E2BIG);
  for (uint32_t i = 0; i < limit; i++) {
    if (body(ctx, i, callback_ctx, 0, 0, 0) != 0) return i + 1;
  }
  return limit;
}

}  // extern "C"
