// THE program-type table: one row a type. What the verifier, the loader and the surface know of a
// type is here. Constant; any thread.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::bpf {

// What reading a field gives.
enum class CtxValue : uint8_t { number, packet, packet_end, packet_meta, socket };

// A field of the ctx structure, or a run of bytes treated alike. An access lies inside it and is
// naturally aligned; `reads` and `writes` are the sizes allowed, or-ed (15: 1, 2, 4 and 8 bytes).
struct CtxField {
  uint32_t offset;
  uint32_t size;
  uint8_t reads;
  uint8_t writes;
  CtxValue value = CtxValue::number;
};

// How a type may use packet pointers read from its context.
enum class PacketAccess : uint8_t { none, read_write };

struct ProgramType {
  uint32_t type;                       // enum bpf_prog_type
  std::string_view name;               // as bpftool prints it
  std::span<const std::string_view> sections;  // libbpf's section name prefixes
  uint32_t ctx_size;
  std::span<const CtxField> fields;    // in order of offset; what is in none is refused
  // groups of ids it may call (helpers/helper.hpp has their rows)
  std::span<const std::span<const uint32_t>> helpers;
  bool packet_loads;                   // LD_ABS, LD_IND allowed
  PacketAccess packet;
  // 512 bytes of stack for each frame, instead of for all of them together (Linux: private stacks).
  bool stack_per_frame;
  // The return values allowed where expected_attach_type is one of a session's (Linux:
  // BPF_TRACE_*_SESSION), else none is refused.
  bool sessions;
};

inline constexpr uint32_t kTraceKprobeSession = 56;  // newer than Debian's linux/bpf.h
inline constexpr uint32_t kTraceUprobeSession = 57;

// Null: a type sluice does not run.
[[nodiscard]] const ProgramType* find_program_type(uint32_t type);
[[nodiscard]] std::span<const ProgramType> program_types();
// The field that [offset, offset + size) lies in; null where there is none.
[[nodiscard]] const CtxField* find_ctx_field(const ProgramType& type, uint32_t offset,
                                             uint32_t size);
[[nodiscard]] bool may_call(const ProgramType& type, uint32_t helper);

// Groups of helpers by the types that may call them, as Linux 6.18 has it (program_helpers.cpp).
extern const std::span<const uint32_t> kHelpersOfEveryType;
extern const std::span<const uint32_t> kHelpersOfPacketTypes;      // socket_filter, sched_cls, xdp
extern const std::span<const uint32_t> kHelpersOfForwardingTypes;  // sched_cls, xdp
extern const std::span<const uint32_t> kHelpersOfSkBuffTypes;      // socket_filter, sched_cls
extern const std::span<const uint32_t> kHelpersOfSchedCls;
extern const std::span<const uint32_t> kHelpersOfXdp;
extern const std::span<const uint32_t> kHelpersOfTracingTypes;     // kprobe, tracepoint

}  // namespace sluice::bpf
