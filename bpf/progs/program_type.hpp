// THE program-type table: one row a type. What the verifier, the loader and the surface know of a type is here.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace sluice::bpf {

enum class CtxAccess : uint8_t { none, read, read_write };

// A field of the ctx structure. Reads of it may be narrower than the field (naturally aligned, inside it) when narrow.
struct CtxField {
  uint32_t offset;
  uint32_t size;
  CtxAccess access;
  bool narrow;
};

struct ProgramType {
  uint32_t type;                       // enum bpf_prog_type
  std::string_view name;               // as bpftool prints it
  std::string_view section;            // libbpf's section name prefix
  uint32_t ctx_size;
  std::span<const CtxField> fields;    // in order of offset; what is in none is refused
  std::span<const uint32_t> helpers;   // ids it may call, in order (helpers/helper.hpp has their rows)
  bool packet_loads;                   // LD_ABS, LD_IND allowed
};

// Null: a type sluice does not run.
[[nodiscard]] const ProgramType* find_program_type(uint32_t type);
[[nodiscard]] std::span<const ProgramType> program_types();
// The field that [offset, offset + size) lies in; null where there is none.
[[nodiscard]] const CtxField* find_ctx_field(const ProgramType& type, uint32_t offset, uint32_t size);

}  // namespace sluice::bpf
