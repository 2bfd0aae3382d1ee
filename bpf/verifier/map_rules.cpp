// Which helper goes with which type of map: some types are for their own helpers alone, some
// helpers for their own types alone. Asked of Linux 6.18.
#include <algorithm>
#include <span>

#include "bpf/verifier/analysis.hpp"

namespace sluice::bpf {
namespace {

struct TypeRule {
  uint32_t map_type;
  std::span<const uint32_t> helpers;  // no other may be called with it
};
struct HelperRule {
  uint32_t helper;
  std::span<const uint32_t> map_types;  // it takes no other
};

// BPF_MAP_TYPE_CGRP_STORAGE; newer than Debian's linux/bpf.h
constexpr uint32_t kCgroupStorage = 32;
constexpr uint32_t kArena = 33;
constexpr uint32_t kInsnArray = 34;
constexpr uint32_t kCgrpStorageGet = 210;
constexpr uint32_t kCgrpStorageDelete = 211;

constexpr uint32_t kTailCall[] = {BPF_FUNC_tail_call};
constexpr uint32_t kPerf[] = {BPF_FUNC_perf_event_read, BPF_FUNC_perf_event_output,
                              BPF_FUNC_perf_event_read_value};
constexpr uint32_t kRing[] = {BPF_FUNC_ringbuf_output, BPF_FUNC_ringbuf_reserve,
                              BPF_FUNC_ringbuf_query, BPF_FUNC_ringbuf_reserve_dynptr};
constexpr uint32_t kUserRing[] = {BPF_FUNC_user_ringbuf_drain};
constexpr uint32_t kStackTrace[] = {BPF_FUNC_get_stackid};
constexpr uint32_t kCgroupArray[] = {BPF_FUNC_skb_under_cgroup, BPF_FUNC_current_task_under_cgroup};
constexpr uint32_t kRedirectLookup[] = {BPF_FUNC_redirect_map, BPF_FUNC_map_lookup_elem};
constexpr uint32_t kRedirect[] = {BPF_FUNC_redirect_map};
constexpr uint32_t kLookup[] = {BPF_FUNC_map_lookup_elem};
constexpr uint32_t kQueue[] = {BPF_FUNC_map_push_elem, BPF_FUNC_map_pop_elem,
                               BPF_FUNC_map_peek_elem};
constexpr uint32_t kBloom[] = {BPF_FUNC_map_push_elem, BPF_FUNC_map_peek_elem};
constexpr uint32_t kSkStorage[] = {BPF_FUNC_sk_storage_get, BPF_FUNC_sk_storage_delete};
constexpr uint32_t kTaskStorage[] = {BPF_FUNC_task_storage_get, BPF_FUNC_task_storage_delete};
constexpr uint32_t kCgrpStorage[] = {kCgrpStorageGet, kCgrpStorageDelete};

constexpr TypeRule kTypeRules[] = {
    {BPF_MAP_TYPE_PROG_ARRAY, kTailCall},
    {BPF_MAP_TYPE_PERF_EVENT_ARRAY, kPerf},
    {BPF_MAP_TYPE_RINGBUF, kRing},
    {BPF_MAP_TYPE_USER_RINGBUF, kUserRing},
    {BPF_MAP_TYPE_STACK_TRACE, kStackTrace},
    {BPF_MAP_TYPE_CGROUP_ARRAY, kCgroupArray},
    {BPF_MAP_TYPE_DEVMAP, kRedirectLookup},
    {BPF_MAP_TYPE_DEVMAP_HASH, kRedirectLookup},
    {BPF_MAP_TYPE_CPUMAP, kRedirect},
    {BPF_MAP_TYPE_XSKMAP, kRedirectLookup},
    {BPF_MAP_TYPE_ARRAY_OF_MAPS, kLookup},
    {BPF_MAP_TYPE_HASH_OF_MAPS, kLookup},
    {BPF_MAP_TYPE_QUEUE, kQueue},
    {BPF_MAP_TYPE_STACK, kQueue},
    {BPF_MAP_TYPE_BLOOM_FILTER, kBloom},
    {BPF_MAP_TYPE_SK_STORAGE, kSkStorage},
    {BPF_MAP_TYPE_TASK_STORAGE, kTaskStorage},
    {kCgroupStorage, kCgrpStorage},
    {kArena, {}},
    {kInsnArray, {}},
};

constexpr uint32_t kProgArray[] = {BPF_MAP_TYPE_PROG_ARRAY};
constexpr uint32_t kPerfArray[] = {BPF_MAP_TYPE_PERF_EVENT_ARRAY};
constexpr uint32_t kRingbuf[] = {BPF_MAP_TYPE_RINGBUF};
constexpr uint32_t kUserRingbuf[] = {BPF_MAP_TYPE_USER_RINGBUF};
constexpr uint32_t kStacks[] = {BPF_MAP_TYPE_STACK_TRACE};
constexpr uint32_t kCgroups[] = {BPF_MAP_TYPE_CGROUP_ARRAY};
constexpr uint32_t kRedirectMaps[] = {BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH,
                                      BPF_MAP_TYPE_CPUMAP, BPF_MAP_TYPE_XSKMAP};
constexpr uint32_t kQueueStack[] = {BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_STACK};
constexpr uint32_t kQueueStackBloom[] = {BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_STACK,
                                         BPF_MAP_TYPE_BLOOM_FILTER};
constexpr uint32_t kPerCpu[] = {BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_PERCPU_HASH,
                                BPF_MAP_TYPE_LRU_PERCPU_HASH};
constexpr uint32_t kSocketStorages[] = {BPF_MAP_TYPE_SK_STORAGE};
constexpr uint32_t kTaskStorages[] = {BPF_MAP_TYPE_TASK_STORAGE};
constexpr uint32_t kCgroupStorages[] = {kCgroupStorage};

constexpr HelperRule kHelperRules[] = {
    {BPF_FUNC_tail_call, kProgArray},
    {BPF_FUNC_perf_event_read, kPerfArray},
    {BPF_FUNC_perf_event_output, kPerfArray},
    {BPF_FUNC_perf_event_read_value, kPerfArray},
    {BPF_FUNC_ringbuf_output, kRingbuf},
    {BPF_FUNC_ringbuf_reserve, kRingbuf},
    {BPF_FUNC_ringbuf_query, kRingbuf},
    {BPF_FUNC_ringbuf_reserve_dynptr, kRingbuf},
    {BPF_FUNC_user_ringbuf_drain, kUserRingbuf},
    {BPF_FUNC_get_stackid, kStacks},
    {BPF_FUNC_skb_under_cgroup, kCgroups},
    {BPF_FUNC_current_task_under_cgroup, kCgroups},
    {BPF_FUNC_redirect_map, kRedirectMaps},
    {BPF_FUNC_map_push_elem, kQueueStackBloom},
    {BPF_FUNC_map_peek_elem, kQueueStackBloom},
    {BPF_FUNC_map_pop_elem, kQueueStack},
    {BPF_FUNC_map_lookup_percpu_elem, kPerCpu},
    {BPF_FUNC_sk_storage_get, kSocketStorages},
    {BPF_FUNC_sk_storage_delete, kSocketStorages},
    {BPF_FUNC_task_storage_get, kTaskStorages},
    {BPF_FUNC_task_storage_delete, kTaskStorages},
    {kCgrpStorageGet, kCgroupStorages},
    {kCgrpStorageDelete, kCgroupStorages},
};

bool holds(std::span<const uint32_t> list, uint32_t value) {
  return std::ranges::find(list, value) != list.end();
}

}  // namespace

bool is_read_only(const MapSpec& spec) {
  if (spec.type == BPF_MAP_TYPE_DEVMAP || spec.type == BPF_MAP_TYPE_DEVMAP_HASH) return true;
  return (spec.flags & BPF_F_RDONLY_PROG) != 0;
}

bool map_allows(uint32_t map_type, uint32_t helper) {
  for (const TypeRule& rule : kTypeRules) {
    if (rule.map_type == map_type && !holds(rule.helpers, helper)) return false;
  }
  for (const HelperRule& rule : kHelperRules) {
    if (rule.helper == helper && !holds(rule.map_types, map_type)) return false;
  }
  return true;
}

}  // namespace sluice::bpf
