// What the JIT inlines into programs. Compiled to LLVM bitcode at build time by clang and embedded in the binary; never
// part of the binary as machine code. The program lowering calls the functions below by name, with constant arguments
// wherever the verifier knows one, so that what remains after inlining is the one case that is meant.
#include "bpf/helpers/bodies.hpp"
#include "bpf/maps/map_ops.hpp"
#include "bpf/progs/packet_context.hpp"
#include "bpf/progs/sk_buff.hpp"

using namespace sluice::bpf;

extern "C" {

// The bodies to inline: an inline function that nothing uses would not be emitted. One that is missing here is called by
// its address in the binary. (Maps whose shape is known do not come this way: sluice_rt_map_*.)
[[gnu::used]] uint64_t (*const sluice_rt_bodies[])(PacketContext*, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t) = {
    sluice_helper_map_lookup_elem, sluice_helper_get_prandom_u32, sluice_helper_get_smp_processor_id,
    sluice_helper_skb_load_bytes};

void sluice_rt_load_context(PacketContext* ctx, const PacketLayout* layout, const void* packet, RunEnv* env) {
  load_context(ctx, *layout, packet, env);
}

uint32_t sluice_rt_captured(const PacketContext* ctx) { return ctx->captured; }

uint32_t sluice_rt_packet_load(const PacketContext* ctx, int32_t offset, uint32_t size, uint32_t* value) {
  return packet_load(ctx, offset, size, value) ? 1 : 0;
}

uint32_t sluice_rt_ctx_load(const PacketContext* ctx, uint32_t offset) { return ctx_load(ctx, offset); }

// The fields a program may write; the verifier has refused the others.
void sluice_rt_ctx_store(PacketContext* ctx, uint32_t offset, uint32_t value) {
  if (offset == offsetof(__sk_buff, mark)) ctx->mark = value;
  if (offset == offsetof(__sk_buff, priority)) ctx->priority = value;
  for (uint32_t i = 0; i < 5; i++) {
    if (offset == offsetof(__sk_buff, cb) + 4 * i) ctx->cb[i] = value;
  }
}

void* sluice_rt_map_lookup(const PacketContext* ctx, const MapCore* core, const void* key) {
  return map_lookup_elem(core, key, ctx->env->slot);
}

int64_t sluice_rt_map_update(const PacketContext* ctx, const MapCore* core, const void* key, const void* value,
                             uint64_t flags) {
  return map_update_elem(core, key, value, flags, ctx->env->slot);
}

int64_t sluice_rt_map_delete(const PacketContext*, const MapCore* core, const void* key) {
  return map_delete_elem(core, key);
}

}  // extern "C"
