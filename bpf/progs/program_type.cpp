#include "bpf/progs/program_type.hpp"

#include <array>
#include <cstddef>

namespace sluice::bpf {
namespace {

constexpr CtxField field32(uint32_t offset) { return {offset, 4, CtxAccess::read, true}; }

// Linux: Documentation/bpf/prog_sk_lookup has no list; observed with the kernel's verifier, field by field.
constexpr std::array kSocketFilterFields{
    field32(offsetof(__sk_buff, len)),
    field32(offsetof(__sk_buff, pkt_type)),
    field32(offsetof(__sk_buff, mark)),
    field32(offsetof(__sk_buff, queue_mapping)),
    field32(offsetof(__sk_buff, protocol)),
    field32(offsetof(__sk_buff, vlan_present)),
    field32(offsetof(__sk_buff, vlan_tci)),
    field32(offsetof(__sk_buff, vlan_proto)),
    field32(offsetof(__sk_buff, priority)),
    field32(offsetof(__sk_buff, ingress_ifindex)),
    field32(offsetof(__sk_buff, ifindex)),
    field32(offsetof(__sk_buff, tc_index)),
    CtxField{offsetof(__sk_buff, cb), 20, CtxAccess::read_write, true},
    field32(offsetof(__sk_buff, hash)),
    field32(offsetof(__sk_buff, napi_id)),
    field32(offsetof(__sk_buff, gso_segs)),
    field32(offsetof(__sk_buff, gso_size)),
};

constexpr std::array<uint32_t, 8> kSocketFilterHelpers{
    BPF_FUNC_map_lookup_elem, BPF_FUNC_map_update_elem,  BPF_FUNC_map_delete_elem,
    BPF_FUNC_ktime_get_ns,    BPF_FUNC_trace_printk,     BPF_FUNC_get_prandom_u32,
    BPF_FUNC_get_smp_processor_id, BPF_FUNC_skb_load_bytes,
};

constexpr std::array kTypes{
    ProgramType{BPF_PROG_TYPE_SOCKET_FILTER, "socket_filter", "socket", sizeof(__sk_buff),
                kSocketFilterFields, kSocketFilterHelpers, true},
};

}  // namespace

std::span<const ProgramType> program_types() { return kTypes; }

const ProgramType* find_program_type(uint32_t type) {
  for (const auto& row : kTypes) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

const CtxField* find_ctx_field(const ProgramType& type, uint32_t offset, uint32_t size) {
  for (const auto& field : type.fields) {
    if (offset >= field.offset && uint64_t{offset} + size <= uint64_t{field.offset} + field.size) {
      return &field;
    }
  }
  return nullptr;
}

}  // namespace sluice::bpf
