// What the verifier proved, handed to the interpreter and the JIT: neither runs anything else,
// neither derives these facts again. Immutable once made; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bpf/isa/insn.hpp"
#include "bpf/maps/added_fields.hpp"
#include "bpf/maps/map.hpp"

namespace sluice::bpf {

// What the base register of a load, store or atomic points at, on every path that reaches the
// instruction. memory: ring buffer record
enum class Region : uint8_t { none, ctx, stack, map_value, packet, memory, mixed };

inline constexpr int32_t kUnknownOffset = INT32_MIN;

struct InsnFact {
  Region region = Region::none;
  bool aligned = false;        // the access is naturally aligned on every path
  // helper call that looks up an array's element: the index is known to be in range, R0 is not
  // null.
  bool in_range = false;
  // helper call with a callback: the subprogram it calls, else -1. (BPF_PSEUDO_FUNC loads: imm is
  // the subprogram's index.)
  int32_t callback = -1;
  // ctx access: the offset in the type's ctx structure. stack access: offset from the accessed
  // frame's top (negative), or kUnknownOffset where it differs between paths or is variable.
  int32_t offset = kUnknownOffset;
  // stack access: how many frames above the current one the pointed-at frame is (0: own). Only if
  // offset is known.
  uint8_t frame_up = 0;
  // map_value access, or a helper call with a map argument: index into AnnotatedProgram::maps when
  // it is the same map on every path, else -1.
  int32_t map_index = -1;
  // helper call: stack offset (from the current frame's top) of each pointer argument R1..R5 that
  // is always a pointer into the current frame at that constant offset, else kUnknownOffset.
  int32_t argument_stack_offset[5] = {kUnknownOffset, kUnknownOffset, kUnknownOffset,
                                      kUnknownOffset, kUnknownOffset};
  // helper call: the bytes the helper may read or write at R1..R5 where that is a pointer to
  // memory, else 0.
  uint32_t argument_size[5] = {};
};

struct Subprogram {
  uint32_t start = 0;        // first instruction
  uint32_t end = 0;          // one past the last
  uint32_t stack_depth = 0;  // bytes of its own frame, a multiple of 8
};

// What the JIT does against whoever loaded the program. Asked for at load, not proved.
struct Hardening {
  // An array's index stays in range under speculation too (Spectre variant 1; Kocher et al., S&P
  // 2019). The interpreter and the helpers' bodies always see to that.
  bool mask_indices = false;
  // No immediate of the program appears in its machine code, so that nobody can spray instructions
  // through them: each is xored with a key of its own, drawn from this. 0: they do appear.
  uint64_t blinding_seed = 0;
};

struct AnnotatedProgram {
  std::string name;
  uint32_t type = BPF_PROG_TYPE_UNSPEC;
  Hardening hardening;
  // As loaded, without what no path reaches; and in a 64-bit immediate load with src_reg
  // BPF_PSEUDO_MAP_FD or BPF_PSEUDO_MAP_VALUE, imm is an index into `maps` (the second slot's imm
  // keeps the offset into the value). BPF_PSEUDO_MAP_FD yields the address of the map's MapCore,
  // BPF_PSEUDO_MAP_VALUE the address of value 0 plus the offset.
  std::vector<Insn> insns;
  std::vector<InsnFact> facts;           // one an instruction slot
  std::vector<Subprogram> subprograms;   // [0] is the main program; in order of start
  std::vector<std::shared_ptr<Map>> maps;
  // One a map: what the program does to its values. An atomic add of a map_value access with a
  // known map is of one of its fields.
  std::vector<AddedFields> added;
};

}  // namespace sluice::bpf
