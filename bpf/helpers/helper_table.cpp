// Helpers that any program may use: maps, time, numbers, text, ring buffers, control.
// In order of id. Prototypes: bpf-helpers(7); what it leaves open was found by asking Linux 6.18.
#include "bpf/helpers/bodies.hpp"
#include "bpf/helpers/helper_rows.hpp"

namespace sluice::bpf {
namespace {

constexpr std::array kGeneral{
    SLUICE_HELPER(map_lookup_elem, true, kPacketMemory, Ret::map_value_or_null, Arg::const_map,
                  Arg::map_key),
    SLUICE_HELPER(map_update_elem, true, kPacketMemory, Ret::integer, Arg::const_map, Arg::map_key,
                  Arg::map_value, Arg::anything),
    SLUICE_HELPER(map_delete_elem, true, kPacketMemory, Ret::integer, Arg::const_map, Arg::map_key),
    SLUICE_HELPER(ktime_get_ns, false, kPlain, Ret::integer),
    SLUICE_HELPER(trace_printk, false, kGplOnly, Ret::integer, Arg::mem, Arg::size),
    SLUICE_HELPER(get_prandom_u32, true, kPlain, Ret::integer),
    SLUICE_HELPER(get_smp_processor_id, true, kPlain, Ret::integer),
    SLUICE_HELPER(tail_call, true, kPlain, Ret::void_, Arg::ctx, Arg::const_map, Arg::anything),
    SLUICE_HELPER(perf_event_output, false, kGplOnly, Ret::integer, Arg::ctx, Arg::const_map,
                  Arg::anything, Arg::mem, Arg::size_or_zero),
    SLUICE_HELPER(get_numa_node_id, false, kPlain, Ret::integer),
    SLUICE_HELPER(map_push_elem, false, kPacketMemory, Ret::integer, Arg::const_map, Arg::map_value,
                  Arg::anything),
    SLUICE_HELPER(map_pop_elem, false, kPlain, Ret::integer, Arg::const_map, Arg::uninit_map_value),
    SLUICE_HELPER(map_peek_elem, false, kPlain, Ret::integer, Arg::const_map,
                  Arg::uninit_map_value),
    SLUICE_HELPER(spin_lock, false, kPlain, Ret::void_, Arg::spin_lock),
    SLUICE_HELPER(spin_unlock, false, kPlain, Ret::void_, Arg::spin_lock),
    SLUICE_PROTOTYPE(strtol, kPlain, Ret::integer, Arg::mem, Arg::size, Arg::anything,
                     Arg::long_out),
    SLUICE_PROTOTYPE(strtoul, kPlain, Ret::integer, Arg::mem, Arg::size, Arg::anything,
                     Arg::long_out),
    SLUICE_HELPER(jiffies64, false, kPlain, Ret::integer),
    SLUICE_HELPER(ktime_get_boot_ns, false, kPlain, Ret::integer),
    SLUICE_HELPER(ringbuf_output, false, kPlain, Ret::integer, Arg::const_map, Arg::mem,
                  Arg::size_or_zero, Arg::anything),
    SLUICE_HELPER(ringbuf_reserve, false, kPlain, Ret::alloc_mem_or_null, Arg::const_map,
                  Arg::alloc_size, Arg::anything),
    SLUICE_HELPER(ringbuf_submit, false, kPlain, Ret::void_, Arg::alloc_mem, Arg::anything),
    SLUICE_HELPER(ringbuf_discard, false, kPlain, Ret::void_, Arg::alloc_mem, Arg::anything),
    SLUICE_HELPER(ringbuf_query, false, kPlain, Ret::integer, Arg::const_map, Arg::anything),
    SLUICE_HELPER(ktime_get_coarse_ns, false, kPlain, Ret::integer),
    SLUICE_HELPER(for_each_map_elem, true, kPlain, Ret::integer, Arg::const_map, Arg::callback,
                  Arg::stack_or_null, Arg::anything),
    SLUICE_HELPER(snprintf, false, kGplOnly, Ret::integer, Arg::write_mem_or_null,
                  Arg::size_or_zero, Arg::const_str, Arg::mem_or_null, Arg::size_or_zero),
    SLUICE_HELPER(trace_vprintk, false, kGplOnly, Ret::integer, Arg::mem, Arg::size,
                  Arg::mem_or_null, Arg::size_or_zero),
    SLUICE_HELPER(loop, true, kPlain, Ret::integer, Arg::anything, Arg::callback,
                  Arg::stack_or_null, Arg::anything),
    SLUICE_HELPER(strncmp, false, kPlain, Ret::integer, Arg::mem, Arg::size, Arg::const_str),
    SLUICE_HELPER(map_lookup_percpu_elem, true, kPacketMemory, Ret::map_value_or_null,
                  Arg::const_map, Arg::map_key, Arg::anything),
    SLUICE_HELPER(ktime_get_tai_ns, false, kPlain, Ret::integer),
};

}  // namespace

std::span<const Helper> general_helpers() { return kGeneral; }

const Helper* find_helper(uint32_t id) {
  static const auto table = [] {
    std::array<const Helper*, kHelperIds> by_id{};
    for (const auto part : {general_helpers(), packet_helpers(), kernel_helpers()}) {
      for (const Helper& helper : part) by_id[helper.id] = &helper;
    }
    return by_id;
  }();
  return id < table.size() ? table[id] : nullptr;
}

}  // namespace sluice::bpf
