// The helper table: one row a helper, its prototype for the verifier and its body for the
// interpreter and the JIT. Adding a helper: body (helpers/bodies.hpp), row
// (helpers/helper_table*.cpp), test. Every helper that one of the program types may call in Linux
// 6.18 has a row. Constant; any thread.
#pragma once

#include <linux/bpf.h>

#include <array>
#include <cstdint>
#include <string_view>

namespace sluice::bpf {

struct PacketContext;

// Argument kinds, after the kernel's enum bpf_arg_type. Memory kinds take stack, map values and
// keys, ring buffer records, and packet bytes where the helper has packet_memory.
enum class Arg : uint8_t {
  none,
  anything,            // any initialised register
  ctx,                 // pointer to the program's context
  ctx_or_null,
  sched_cls_ctx,       // the context in a sched_cls program, no argument in others
  const_map,           // map loaded by a 64-bit immediate, or an inner map
  map_key,             // key_size readable bytes, of the const_map before it
  map_value,           // value_size readable bytes
  map_value_or_null,
  uninit_map_value,    // value_size writable bytes
  mem,                 // readable memory; its size is the next argument
  mem_or_null,
  write_mem,           // memory that is read and written
  write_mem_or_null,
  uninit_mem,          // writable memory
  size,                // bounded, > 0: size of the memory argument before it
  size_or_zero,
  alloc_size,          // constant: size of the memory returned
  long_out,            // 8 writable bytes, aligned
  int_in_out,          // 4 bytes, read and written, aligned
  ipv4_header,         // 20 readable bytes
  ipv6_header,         // 40
  tcp_header,          // 20
  alloc_mem,           // the start of what ringbuf_reserve returned; released by the call
  callback,            // a static subprogram, loaded by BPF_PSEUDO_FUNC
  stack_or_null,       // what the callback gets as its last argument
  spin_lock,           // struct bpf_spin_lock in a map value
  timer,               // struct bpf_timer in a map value
  kptr,                // pointer to a kernel object in a map value
  const_str,           // zero-terminated text in a frozen read-only map
  dynptr,
  uninit_dynptr,
  sock_common,         // any socket pointer of the classic kinds
  btf_sock,            // the same or a BTF pointer to a struct sock
  btf_task,            // BTF pointer to a kernel object (task, cgroup)
  btf_percpu,
};

enum class Ret : uint8_t {
  integer,
  void_,
  map_value_or_null,
  alloc_mem_or_null,     // a ring buffer record; a reference
  dynptr_mem_or_null,
  socket_or_null,        // a reference where the helper `acquires`
  tcp_sock_or_null,
  sock_common_or_null,
  btf_or_null,
  btf,
};

// Body: arguments as the program passed them. ctx is the running program's context whatever the
// arguments.
using HelperBody = uint64_t (*)(PacketContext* ctx, uint64_t, uint64_t, uint64_t, uint64_t,
                                uint64_t);

struct Helper {
  uint32_t id;               // BPF_FUNC_*
  std::string_view name;     // "map_lookup_elem"; people know it as bpf_map_lookup_elem
  bool gpl_only;
  bool changes_packet;       // packet pointers taken before the call are worth nothing after it
  bool packet_memory;        // packet bytes may be passed as memory
  bool sleeps;               // only sleepable programs may call it
  Ret returns;
  std::array<Arg, 5> arguments;
  HelperBody body;           // null: verifies, then refused with EOPNOTSUPP naming it
  // of the body in the bitcode and the binary: "sluice_helper_map_lookup_elem"
  std::string_view symbol;
  bool inlined;              // the JIT takes it from the bitcode; else it calls the binary's body
};

inline constexpr uint32_t kHelperIds = 212;  // Linux 6.18: __BPF_FUNC_MAX_ID

// Null: no such helper.
[[nodiscard]] const Helper* find_helper(uint32_t id);

}  // namespace sluice::bpf
