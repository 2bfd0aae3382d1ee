#include "bpf/progs/program_type.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace sluice::bpf {
namespace {

constexpr uint8_t kWhole32 = 4;         // as one word
constexpr uint8_t kUpTo32 = 1 | 2 | 4;  // whole, or a part of it
constexpr uint8_t kAll = 1 | 2 | 4 | 8;
constexpr uint32_t kTstampType = 180;   // of struct __sk_buff; newer than Debian's linux/bpf.h
constexpr uint32_t kHwtstamp = 184;
constexpr uint32_t kSkBuffSize = 192;

constexpr CtxField word(uint32_t offset, uint8_t writes = 0) {
  return {offset, 4, kUpTo32, writes};
}
constexpr CtxField pointer32(uint32_t offset, CtxValue value) {
  return {offset, 4, kWhole32, 0, value};
}
constexpr CtxField cb{offsetof(__sk_buff, cb), 20, kAll, kAll};
constexpr CtxField sk{offsetof(__sk_buff, sk), 8, 8, 0, CtxValue::socket};

// Asked of Linux 6.18 field by field, size by size.
constexpr std::array kSocketFilterFields{
    word(offsetof(__sk_buff, len)),
    word(offsetof(__sk_buff, pkt_type)),
    word(offsetof(__sk_buff, mark)),
    word(offsetof(__sk_buff, queue_mapping)),
    word(offsetof(__sk_buff, protocol)),
    word(offsetof(__sk_buff, vlan_present)),
    word(offsetof(__sk_buff, vlan_tci)),
    word(offsetof(__sk_buff, vlan_proto)),
    word(offsetof(__sk_buff, priority)),
    word(offsetof(__sk_buff, ingress_ifindex)),
    word(offsetof(__sk_buff, ifindex)),
    word(offsetof(__sk_buff, tc_index)),
    cb,
    word(offsetof(__sk_buff, hash)),
    word(offsetof(__sk_buff, napi_id)),
    word(offsetof(__sk_buff, gso_segs)),
    sk,
    word(offsetof(__sk_buff, gso_size)),
};

constexpr std::array kSchedClsFields{
    word(offsetof(__sk_buff, len)),
    word(offsetof(__sk_buff, pkt_type)),
    word(offsetof(__sk_buff, mark), kWhole32),
    word(offsetof(__sk_buff, queue_mapping), kWhole32),
    word(offsetof(__sk_buff, protocol)),
    word(offsetof(__sk_buff, vlan_present)),
    word(offsetof(__sk_buff, vlan_tci)),
    word(offsetof(__sk_buff, vlan_proto)),
    word(offsetof(__sk_buff, priority), kWhole32),
    word(offsetof(__sk_buff, ingress_ifindex)),
    word(offsetof(__sk_buff, ifindex)),
    word(offsetof(__sk_buff, tc_index), kWhole32),
    cb,
    word(offsetof(__sk_buff, hash)),
    word(offsetof(__sk_buff, tc_classid), kWhole32),
    pointer32(offsetof(__sk_buff, data), CtxValue::packet),
    pointer32(offsetof(__sk_buff, data_end), CtxValue::packet_end),
    word(offsetof(__sk_buff, napi_id)),
    pointer32(offsetof(__sk_buff, data_meta), CtxValue::packet_meta),
    CtxField{offsetof(__sk_buff, tstamp), 8, 8, 8},
    word(offsetof(__sk_buff, wire_len)),
    word(offsetof(__sk_buff, gso_segs)),
    sk,
    word(offsetof(__sk_buff, gso_size)),
    CtxField{kTstampType, 1, 1, 0},
    CtxField{kHwtstamp, 8, 8, 0},
};

constexpr std::array kXdpFields{
    pointer32(offsetof(xdp_md, data), CtxValue::packet),
    pointer32(offsetof(xdp_md, data_end), CtxValue::packet_end),
    pointer32(offsetof(xdp_md, data_meta), CtxValue::packet_meta),
    CtxField{offsetof(xdp_md, ingress_ifindex), 4, kWhole32, 0},
    CtxField{offsetof(xdp_md, rx_queue_index), 4, kWhole32, 0},
};

constexpr uint32_t kRegistersSize = 168;  // struct pt_regs of x86-64
constexpr uint32_t kTraceHeader = 8;      // the common part of a trace event, not to be read
constexpr uint32_t kTraceSize = 8192;     // Linux: PERF_MAX_TRACE_SIZE
constexpr std::array kKprobeFields{CtxField{0, kRegistersSize, kAll, 0}};
constexpr std::array kTracepointFields{CtxField{kTraceHeader, kTraceSize - kTraceHeader, kAll, 0}};

constexpr std::string_view kSocketFilterSections[] = {"socket"};
constexpr std::string_view kSchedClsSections[] = {"tc", "classifier", "tcx/ingress", "tcx/egress"};
constexpr std::string_view kXdpSections[] = {"xdp"};
constexpr std::string_view kKprobeSections[] = {"kprobe/", "kretprobe/", "uprobe/", "uretprobe/",
                                                "ksyscall/"};
constexpr std::string_view kTracepointSections[] = {"tracepoint/", "tp/"};

using Group = std::span<const uint32_t>;
const Group kSocketFilterHelpers[] = {kHelpersOfEveryType, kHelpersOfPacketTypes,
                                      kHelpersOfSkBuffTypes};
const Group kSchedClsHelpers[] = {kHelpersOfEveryType, kHelpersOfPacketTypes,
                                  kHelpersOfForwardingTypes, kHelpersOfSkBuffTypes,
                                  kHelpersOfSchedCls};
const Group kXdpHelpers[] = {kHelpersOfEveryType, kHelpersOfPacketTypes, kHelpersOfForwardingTypes,
                             kHelpersOfXdp};
const Group kTracingHelpers[] = {kHelpersOfEveryType, kHelpersOfTracingTypes};

const std::array kTypes{
    ProgramType{BPF_PROG_TYPE_SOCKET_FILTER, "socket_filter", kSocketFilterSections, kSkBuffSize,
                kSocketFilterFields, kSocketFilterHelpers, true, PacketAccess::none, false, false},
    ProgramType{BPF_PROG_TYPE_KPROBE, "kprobe", kKprobeSections, kRegistersSize, kKprobeFields,
                kTracingHelpers, false, PacketAccess::none, true, true},
    ProgramType{BPF_PROG_TYPE_SCHED_CLS, "sched_cls", kSchedClsSections, kSkBuffSize,
                kSchedClsFields, kSchedClsHelpers, true, PacketAccess::read_write, false, false},
    ProgramType{BPF_PROG_TYPE_TRACEPOINT, "tracepoint", kTracepointSections, kTraceSize,
                kTracepointFields, kTracingHelpers, false, PacketAccess::none, true, false},
    ProgramType{BPF_PROG_TYPE_XDP, "xdp", kXdpSections, sizeof(xdp_md), kXdpFields, kXdpHelpers,
                false, PacketAccess::read_write, false, false},
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

bool may_call(const ProgramType& type, uint32_t helper) {
  return std::ranges::any_of(
      type.helpers, [helper](auto group) { return std::ranges::binary_search(group, helper); });
}

}  // namespace sluice::bpf
