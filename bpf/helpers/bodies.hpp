// Helper bodies, shared by the binary and the JIT's bitcode (where they are inlined): plain C++, no
// library calls; those in bodies_called.hpp are called by address. Body of bpf_NAME:
// sluice_helper_NAME. Each takes the running program's context and R1 to R5, and returns R0 (Linux:
// bpf-helpers(7)). The verifier has checked the arguments against the prototype in
// helper_table.cpp.
#pragma once

#include <linux/bpf.h>

#include <cerrno>
#include <cstdint>

#include "bpf/helpers/bodies_called.hpp"
#include "bpf/helpers/bodies_control.hpp"
#include "bpf/helpers/bodies_maps.hpp"
#include "bpf/helpers/bodies_packet.hpp"
#include "bpf/maps/map_ops.hpp"
#include "bpf/progs/packet_context.hpp"

namespace sluice::bpf {

inline const MapCore* as_map(uint64_t value) { return reinterpret_cast<const MapCore*>(value); }
inline uint64_t as_return(long value) { return static_cast<uint64_t>(value); }

}  // namespace sluice::bpf

extern "C" {

inline uint64_t sluice_helper_map_lookup_elem(sluice::bpf::PacketContext* ctx, uint64_t map,
                                              uint64_t key, uint64_t, uint64_t, uint64_t) {
  using namespace sluice::bpf;
  return reinterpret_cast<uint64_t>(
      map_lookup_elem(as_map(map), reinterpret_cast<const void*>(key), ctx->env->slot));
}

inline uint64_t sluice_helper_map_update_elem(sluice::bpf::PacketContext* ctx, uint64_t map,
                                              uint64_t key, uint64_t value, uint64_t flags,
                                              uint64_t) {
  using namespace sluice::bpf;
  return as_return(map_update_elem(as_map(map), reinterpret_cast<const void*>(key),
                                   reinterpret_cast<const void*>(value), flags, ctx->env->slot,
                                   ctx->env->writer));
}

inline uint64_t sluice_helper_map_delete_elem(sluice::bpf::PacketContext* ctx, uint64_t map,
                                              uint64_t key, uint64_t, uint64_t, uint64_t) {
  using namespace sluice::bpf;
  return as_return(
      map_delete_elem(as_map(map), reinterpret_cast<const void*>(key), ctx->env->writer));
}

// xorshift128+ (Vigna, "Further scramblings of Marsaglia's xorshift generators"), one state a
// worker.
inline uint64_t sluice_helper_get_prandom_u32(sluice::bpf::PacketContext* ctx, uint64_t, uint64_t,
                                              uint64_t, uint64_t, uint64_t) {
  uint64_t* state = ctx->env->random_state;
  uint64_t a = state[0];
  const uint64_t b = state[1];
  state[0] = b;
  a ^= a << 23;
  state[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
  return static_cast<uint32_t>((state[1] + b) >> 32);
}

inline uint64_t sluice_helper_get_smp_processor_id(sluice::bpf::PacketContext* ctx, uint64_t,
                                                   uint64_t, uint64_t, uint64_t, uint64_t) {
  return ctx->env->slot;
}

// Another worker's value of a per-CPU map.
inline uint64_t sluice_helper_map_lookup_percpu_elem(sluice::bpf::PacketContext*, uint64_t map,
                                                     uint64_t key, uint64_t cpu, uint64_t,
                                                     uint64_t) {
  using namespace sluice::bpf;
  return reinterpret_cast<uint64_t>(
      map_lookup_elem(as_map(map), reinterpret_cast<const void*>(key), static_cast<uint32_t>(cpu)));
}

}  // extern "C"
