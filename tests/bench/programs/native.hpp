// What a BPF program's source needs in order to be compiled natively instead: the helpers as inline C++ on sluice's own maps
// and packets, which is all that the JIT has too. Included in front of the unchanged .bpf.c, whose includes of
// bpf_helpers.h then find nothing to do. Behind it the benchmark prints the maps' cores as constants and defines core_of().
#pragma once

#define __BPF_HELPERS__
#include <time.h>

#include "bpf/maps/map_ops.hpp"
#include "bpf/progs/packet_context.hpp"
#include "bpf/progs/sk_buff.hpp"

namespace native {

struct sk_buff {
  __u32 len, mark, protocol, priority, ifindex, ingress_ifindex, hash, pkt_type, cb[5];
  sluice::bpf::PacketContext context;
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

}  // namespace native

static inline __attribute__((always_inline)) const sluice::bpf::MapCore* core_of(const void* map);

#define __sk_buff native::sk_buff
#define __uint(name, value) int (*name)[value]
#define __type(name, value) __typeof__(value)* name
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
  return sluice::bpf::map_update_elem(core_of(map), key, value, flags, native::slot(), native::writer());
}
NATIVE_HELPER long bpf_map_delete_elem(void* map, const void* key) {
  return sluice::bpf::map_delete_elem(core_of(map), key, native::writer());
}
NATIVE_HELPER long bpf_skb_load_bytes(const native::sk_buff* skb, __u32 offset, void* to, __u32 size) {
  if (offset > 0x7fffffffu || __u64{offset} + size > skb->context.captured) {
    __builtin_memset(to, 0, size);
    return -EFAULT;
  }
  __builtin_memcpy(to, skb->context.data + offset, size);
  return 0;
}
NATIVE_HELPER __u64 bpf_ktime_get_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<__u64>(now.tv_sec) * 1000000000u + static_cast<__u64>(now.tv_nsec);
}
NATIVE_HELPER __u32 bpf_get_smp_processor_id() { return native::slot(); }

// The burst over the program `run`.
#define NATIVE_BURST(run)                                                                                          \
  extern "C" [[gnu::flatten]] void burst(void* const* packets, unsigned count, unsigned* verdicts,                   \
                                         sluice::bpf::RunEnv* env) {                                                 \
    native::env = env;                                                                                             \
    for (unsigned i = 0; i < count; i++) {                                                                         \
      native::sk_buff skb;                                                                                         \
      sluice::bpf::load_context(&skb.context, sluice::bpf::kLinearLayout, packets[i], env);                        \
      skb.len = skb.context.len;                                                                                   \
      skb.hash = skb.context.hash;                                                                                 \
      skb.mark = skb.priority = 0;                                                                                 \
      skb.protocol = sluice::bpf::ctx_protocol(&skb.context);                                                      \
      skb.pkt_type = sluice::bpf::ctx_pkt_type(&skb.context);                                                      \
      skb.ifindex = env->ifindex;                                                                                  \
      skb.ingress_ifindex = env->ingress_ifindex;                                                                  \
      unsigned keep = static_cast<unsigned>(run(&skb));                                                            \
      verdicts[i] = keep < skb.context.captured ? keep : skb.context.captured;                                     \
    }                                                                                                              \
  }
