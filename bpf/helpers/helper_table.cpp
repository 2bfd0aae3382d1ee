#include "bpf/helpers/bodies.hpp"
#include "bpf/helpers/helper.hpp"

namespace sluice::bpf {
namespace {

// One row a helper, in order of id. Prototypes: bpf-helpers(7).
#define SLUICE_HELPER(name, gpl_only, returns, inlined, ...)                                              \
  Helper {                                                                                                \
    BPF_FUNC_##name, #name, gpl_only, returns, {__VA_ARGS__}, sluice_helper_##name, "sluice_helper_" #name, \
        inlined                                                                                           \
  }
constexpr std::array kHelpers{
    SLUICE_HELPER(map_lookup_elem, false, Ret::map_value_or_null, true, Arg::const_map, Arg::map_key),
    SLUICE_HELPER(map_update_elem, false, Ret::integer, true, Arg::const_map, Arg::map_key, Arg::map_value,
                  Arg::anything),
    SLUICE_HELPER(map_delete_elem, false, Ret::integer, true, Arg::const_map, Arg::map_key),
    SLUICE_HELPER(ktime_get_ns, false, Ret::integer, false),
    SLUICE_HELPER(trace_printk, true, Ret::integer, false, Arg::mem, Arg::size),
    SLUICE_HELPER(get_prandom_u32, false, Ret::integer, true),
    SLUICE_HELPER(get_smp_processor_id, false, Ret::integer, true),
    SLUICE_HELPER(skb_load_bytes, false, Ret::integer, true, Arg::ctx, Arg::anything, Arg::uninit_mem, Arg::size),
};
#undef SLUICE_HELPER

}  // namespace

const Helper* find_helper(uint32_t id) {
  for (const auto& helper : kHelpers) {
    if (helper.id == id) return &helper;
  }
  return nullptr;
}

}  // namespace sluice::bpf
