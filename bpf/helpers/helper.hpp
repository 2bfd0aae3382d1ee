// The helper table: one row a helper, its prototype for the verifier and its body for the interpreter and the JIT.
// Adding a helper: body (helpers/bodies.hpp), row (helpers/helper_table.cpp), test.
#pragma once

#include <linux/bpf.h>

#include <array>
#include <cstdint>
#include <string_view>

namespace sluice::bpf {

struct PacketContext;

// Argument kinds, after the kernel's enum bpf_arg_type.
enum class Arg : uint8_t {
  none,
  anything,            // any initialised register
  ctx,                 // pointer to the program's context
  const_map,           // map loaded by a 64-bit immediate
  map_key,             // pointer to key_size readable bytes (of the const_map before it)
  map_value,           // pointer to value_size readable bytes
  mem,                 // pointer to readable memory; its size is the next argument
  mem_or_null,
  uninit_mem,          // pointer to writable memory; its size is the next argument
  size,                // constant-bounded, > 0: size of the memory argument before it
  size_or_zero,
};

enum class Ret : uint8_t { integer, void_, map_value_or_null };

// Body: arguments as the program passed them. ctx is the running program's context whatever the arguments.
using HelperBody = uint64_t (*)(PacketContext* ctx, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

struct Helper {
  uint32_t id;               // BPF_FUNC_*
  std::string_view name;     // "map_lookup_elem"; people know it as bpf_map_lookup_elem
  bool gpl_only;
  Ret returns;
  std::array<Arg, 5> arguments;
  HelperBody body;           // null: verifies, then refused with EOPNOTSUPP naming it
  std::string_view symbol;   // of the body in the bitcode and the binary: "sluice_helper_map_lookup_elem"
  bool inlined;              // the JIT takes it from the bitcode; else it calls the binary's body
};

// Null: no such helper.
[[nodiscard]] const Helper* find_helper(uint32_t id);

}  // namespace sluice::bpf
