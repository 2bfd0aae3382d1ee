// What the JIT inlines into programs. Compiled to LLVM bitcode at build time by clang and embedded
// in the binary; never part of the binary as machine code. The program lowering calls the functions
// below by name, with constant arguments wherever the verifier knows one, so that what remains
// after inlining is the one case that is meant.
#include "bpf/helpers/bodies.hpp"
#include "bpf/jit/prefetch.hpp"
#include "bpf/maps/map_ops.hpp"
#include "bpf/maps/private_copies.hpp"
#include "bpf/progs/chain_step.hpp"
#include "bpf/progs/packet_context.hpp"
#include "bpf/progs/sk_buff.hpp"
#include "bpf/progs/xdp_md.hpp"

using namespace sluice::bpf;

extern "C" {

// The bodies to inline: an inline function that nothing uses would not be emitted. One that is
// missing here is called by its address in the binary. (Maps whose shape is known do not come this
// way: sluice_rt_lookup_hash and the like.)
[[gnu::used]] uint64_t (*const sluice_rt_bodies[])(PacketContext*, uint64_t, uint64_t, uint64_t,
                                                   uint64_t, uint64_t) = {
    sluice_helper_get_prandom_u32,         sluice_helper_get_smp_processor_id,
    sluice_helper_skb_load_bytes,          sluice_helper_loop,
    sluice_helper_skb_load_bytes_relative, sluice_helper_csum_diff};

void sluice_rt_load_context(PacketContext* ctx, const PacketLayout* layout, const void* packet,
                            RunEnv* env) {
  load_context(ctx, *layout, packet, env);
}

// The parts of a burst: what runs before, between and after the programs.
void sluice_rt_load_room(PacketContext* ctx, const PacketLayout* layout, const void* packet) {
  load_room(ctx, *layout, packet);
}
void sluice_rt_enter_stack(PacketContext* ctx) { enter_stack(ctx); }
uint32_t sluice_rt_step(uint32_t type, uint32_t result) {
  return static_cast<uint32_t>(step_of(type, result));
}
uint32_t sluice_rt_finish(PacketContext* ctx, const PacketLayout* layout, void* packet,
                          uint32_t step, uint32_t kept) {
  return finish_packet(ctx, *layout, packet, static_cast<Step>(step), kept);
}
uint32_t sluice_rt_captured(const PacketContext* ctx) { return ctx->captured; }

uint32_t sluice_rt_packet_load(const PacketContext* ctx, int32_t offset, uint32_t size,
                               uint32_t* value) {
  return packet_load(ctx, offset, size, value) ? 1 : 0;
}

uint64_t sluice_rt_ctx_read(const PacketContext* ctx, uint32_t offset, uint32_t size) {
  return ctx_read(ctx, offset, size);
}

void sluice_rt_ctx_write(PacketContext* ctx, uint32_t offset, uint32_t size, uint64_t value) {
  ctx_write(ctx, offset, size, value);
}

uint64_t sluice_rt_xdp_load(const PacketContext* ctx, uint32_t offset) {
  return xdp_load(ctx, offset);
}

// Lookup, update and delete by kind of map: one function of all kinds would be most of what a
// compilation reads.
void* sluice_rt_lookup_array(const PacketContext* ctx, const MapCore* core, const void* key) {
  return array_lookup_unmasked(core, key, ctx->env->slot);
}
void* sluice_rt_lookup_array_masked(const PacketContext* ctx, const MapCore* core,
                                    const void* key) {
  return array_lookup(core, key, ctx->env->slot);
}
void* sluice_rt_lookup_hash(const PacketContext* ctx, const MapCore* core, const void* key) {
  return hash_lookup(core, key_for(core, key), ctx->env->slot);
}
void* sluice_rt_lookup_lpm(const PacketContext*, const MapCore* core, const void* key) {
  return lpm_lookup(core, key);
}

int64_t sluice_rt_update_array(const PacketContext* ctx, const MapCore* core, const void* key,
                               const void* value, uint64_t flags) {
  return array_update(core, key, value, flags, ctx->env->slot);
}
int64_t sluice_rt_update_hash(const PacketContext* ctx, const MapCore* core, const void* key,
                              const void* value, uint64_t flags) {
  return hash_update(core, key_for(core, key), value, flags, ctx->env->writer);
}
int64_t sluice_rt_update_per_cpu_hash(const PacketContext* ctx, const MapCore* core,
                                      const void* key, const void* value, uint64_t flags) {
  return hash_update_per_cpu(core, key_for(core, key), value, flags, ctx->env->slot,
                             ctx->env->writer);
}
int64_t sluice_rt_delete_hash(const PacketContext* ctx, const MapCore* core, const void* key) {
  return hash_delete(core, key_for(core, key), ctx->env->writer);
}

// Hash lookups of usual key sizes, a quarter of the size to read and inline.
#define SLUICE_LOOKUP_HASH(size)                                                    \
  void* sluice_rt_lookup_hash_##size(const PacketContext* ctx, const MapCore* core, \
                                     const void* key) {                             \
    return hash_lookup(core, {key, size}, ctx->env->slot);                          \
  }
SLUICE_LOOKUP_HASH(2)
SLUICE_LOOKUP_HASH(4)
SLUICE_LOOKUP_HASH(8)
SLUICE_LOOKUP_HASH(12)
SLUICE_LOOKUP_HASH(13)
SLUICE_LOOKUP_HASH(16)
SLUICE_LOOKUP_HASH(20)
SLUICE_LOOKUP_HASH(36)
SLUICE_LOOKUP_HASH(40)

// An atomic add whose result nobody looks at.
void sluice_rt_add_4(const PacketContext* ctx, const PrivateCopies* to, void* field,
                     uint32_t amount) {
  add_privately(*to, ctx->env->writer, field, amount);
}
void sluice_rt_add_8(const PacketContext* ctx, const PrivateCopies* to, void* field,
                     uint64_t amount) {
  add_privately(*to, ctx->env->writer, field, amount);
}

// Where the verifier has proved the index: no check, and never null.
void* sluice_rt_array_at(const PacketContext* ctx, const MapCore* core, const void* key) {
  uint32_t index;
  __builtin_memcpy(&index, key, 4);
  const uint32_t slot = core->slots > 1 && ctx->env->slot < core->slots ? ctx->env->slot : 0;
  return array_value(core, index, slot);
}

int64_t sluice_rt_for_each(PacketContext* ctx, const MapCore* core, uint64_t callback,
                           uint64_t callback_ctx, uint64_t flags) {
  return for_each_element(ctx, core, callback, callback_ctx, flags);
}

// Prefetching for a burst, step by step: whether the map is used enough, the bucket, then the
// element that the tag is of. The word is the bucket's address, with the tag in the 16 bits above
// those that addresses have.
bool sluice_rt_prefetch_pays(const PacketContext*, const MapCore* core) {
  return __atomic_load_n(&hash_table(core)->live, __ATOMIC_RELAXED) * core->element_stride >=
         jit::kPrefetchBytes;
}
uint64_t sluice_rt_prefetch_bucket(const PacketContext*, const MapCore* core, const void* key) {
  const uint64_t hash = hash_of(core, key_for(core, key));
  HashBucket* bucket = bucket_of(core, hash);
  __builtin_prefetch(bucket);
  return reinterpret_cast<uint64_t>(bucket) | tag_of(hash) << 48;
}
void sluice_rt_prefetch_element(const PacketContext*, const MapCore* core, uint64_t word) {
  if (word == 0) return;
  const auto* bucket = reinterpret_cast<const HashBucket*>(word & ((1ull << 48) - 1));
  const uint32_t lanes = lanes_with(bucket, word >> 48);
  if (lanes == 0) return;
  __builtin_prefetch(hash_element(core, load_reference(&bucket->elements[lowest_lane(lanes)])));
}

uint64_t sluice_rt_tail_call(PacketContext* ctx, const MapCore* core, uint64_t index) {
  return reinterpret_cast<uint64_t>(take_tail_call(ctx, core, index));
}

}  // extern "C"
