// What a BPF program's source needs in order to be compiled natively instead: the helpers as inline
// C++ on sluice's own maps and packets, which is all that the JIT has too. Included in front of the
// unchanged .bpf.c, whose includes of bpf_helpers.h then find nothing to do. Behind it the
// benchmark prints the maps' cores as constants and defines core_of(). A tail call is what native C
// has for it: a call through a table of function pointers, which others may change meanwhile; calls
// are not counted.
#pragma once

#define __BPF_HELPERS__
#include <time.h>

#include "bpf/maps/map_ops.hpp"
#include "bpf/progs/packet_context.hpp"
#include "bpf/progs/sk_buff.hpp"
#include "tests/bench/verdict.hpp"

namespace native {

// struct __sk_buff and struct xdp_md: the fields of the same name, and those that are made where
// they are read.
struct Context : sluice::bpf::PacketContext {
  __declspec(property(get = end)) __u8* data_end;
  __declspec(property(get = type)) __u32 protocol;
  __declspec(property(get = port)) __u32 ifindex;
  [[nodiscard]] __u8* end() const { return data + captured; }
  [[nodiscard]] __u32 type() const { return sluice::bpf::ctx_protocol(this); }
  [[nodiscard]] __u32 port() const { return env->ifindex; }
};

// void* that becomes any pointer, as in C.
struct Pointer {
  void* address;
  template <class T>
  operator T*() const { return static_cast<T*>(address); }
  explicit operator bool() const { return address != nullptr; }
  bool operator!() const { return address == nullptr; }
  bool operator!=(int) const { return address != nullptr; }
};

inline sluice::bpf::RunEnv* env;  // of the running burst
inline unsigned slot() { return env->slot; }
inline unsigned writer() { return env->writer; }

// Null: nothing there. __uint() has the number of entries in a type.
template <class ProgArray>
[[gnu::always_inline]] inline auto tail_target(ProgArray* map, __u32 index) {
  constexpr __u32 entries = sizeof(*map->max_entries) / sizeof(int);
  return index < entries ? __atomic_load_n(&map->values[index], __ATOMIC_ACQUIRE) : nullptr;
}

}  // namespace native

static inline __attribute__((always_inline)) const sluice::bpf::MapCore* core_of(const void* map);

#define __sk_buff native::Context
#define xdp_md native::Context
#define __uint(name, value) int (*name)[value]
#define __type(name, value) __typeof__(value)* name
#define __array(name, value) __typeof__(value)* name[]
#define SEC(name)
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define __noinline

#define NATIVE_HELPER [[gnu::always_inline]] static inline

NATIVE_HELPER native::Pointer bpf_map_lookup_elem(void* map, const void* key) {
  return {sluice::bpf::map_lookup_elem(core_of(map), key, native::slot())};
}
NATIVE_HELPER long bpf_map_update_elem(void* map, const void* key, const void* value, __u64 flags) {
  return sluice::bpf::map_update_elem(core_of(map), key, value, flags, native::slot(),
                                      native::writer());
}
NATIVE_HELPER long bpf_map_delete_elem(void* map, const void* key) {
  return sluice::bpf::map_delete_elem(core_of(map), key, native::writer());
}
NATIVE_HELPER long bpf_skb_load_bytes(const native::Context* skb, __u32 offset, void* to,
                                      __u32 size) {
  if (offset > 0x7fffffffu || __u64{offset} + size > skb->captured) {
    __builtin_memset(to, 0, size);
    return -EFAULT;
  }
  __builtin_memcpy(to, skb->data + offset, size);
  return 0;
}
NATIVE_HELPER __u64 bpf_ktime_get_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<__u64>(now.tv_sec) * 1000000000u + static_cast<__u64>(now.tv_nsec);
}
NATIVE_HELPER __u32 bpf_get_smp_processor_id() { return native::slot(); }

#define bpf_tail_call(ctx, map, index)                                             \
  do {                                                                             \
    if (const auto target = native::tail_target(map, index)) return target(ctx);   \
  } while (0)

// The burst over the program `run` of this type.
#define NATIVE_BURST(run, type)                                                                    \
  extern "C" [[gnu::flatten]] void burst(void* const* packets, unsigned count, unsigned* verdicts, \
                                         sluice::bpf::RunEnv* env) {                               \
    native::env = env;                                                                             \
    for (unsigned i = 0; i < count; i++) {                                                         \
      native::Context ctx;                                                                         \
      sluice::bpf::load_context(&ctx, sluice::bpf::kLinearLayout, packets[i], env);                \
      verdicts[i] =                                                                                \
          sluice::bench::verdict_of(type, static_cast<unsigned>(run(&ctx)), ctx.captured);         \
    }                                                                                              \
  }
