// What a subprogram's type promises: its name, and of a global one the arguments it is verified
// with.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/progs/btf_types.hpp"

namespace sluice::bpf {

// What a global subprogram is promised of an argument, from its type.
struct GlobalArgument {
  enum class Kind : uint8_t { number, ctx, memory };
  Kind kind = Kind::number;
  uint32_t size = 0;      // memory: bytes pointed at
  bool not_null = false;  // memory: __arg_nonnull
};

// A subprogram by its type.
struct SubprogramInfo {
  std::string name;
  bool global = false;
  bool returns_number = false;
  std::vector<GlobalArgument> arguments;  // of a global one
  // why a global one cannot be verified by its type; empty: it can
  std::string fault;
};

// Of the function `id`. ctx_names: the structures that a pointer to means the program's context.
[[nodiscard]] SubprogramInfo subprogram_info(const BtfTypes& types, uint32_t id,
                                             std::span<const std::string_view> ctx_names);

}  // namespace sluice::bpf
