// Which program types may call which helpers: asked of Linux 6.18, helper by helper. Ids 210 and
// 211 are cgrp_storage_get and cgrp_storage_delete, newer than Debian's linux/bpf.h.
#include "bpf/progs/program_type.hpp"

namespace sluice::bpf {
namespace {

constexpr uint32_t kEveryType[] = {
    BPF_FUNC_map_lookup_elem, BPF_FUNC_map_update_elem, BPF_FUNC_map_delete_elem,
    BPF_FUNC_ktime_get_ns, BPF_FUNC_trace_printk, BPF_FUNC_get_prandom_u32,
    BPF_FUNC_get_smp_processor_id, BPF_FUNC_tail_call, BPF_FUNC_get_current_pid_tgid,
    BPF_FUNC_get_current_uid_gid, BPF_FUNC_get_current_comm, BPF_FUNC_get_cgroup_classid,
    BPF_FUNC_perf_event_read, BPF_FUNC_perf_event_output, BPF_FUNC_get_current_task,
    BPF_FUNC_current_task_under_cgroup, BPF_FUNC_get_numa_node_id,
    BPF_FUNC_perf_event_read_value, BPF_FUNC_get_current_cgroup_id, BPF_FUNC_map_push_elem,
    BPF_FUNC_map_pop_elem, BPF_FUNC_map_peek_elem, BPF_FUNC_spin_lock, BPF_FUNC_spin_unlock,
    BPF_FUNC_strtol, BPF_FUNC_strtoul, BPF_FUNC_send_signal, BPF_FUNC_probe_read_user,
    BPF_FUNC_probe_read_kernel, BPF_FUNC_probe_read_user_str, BPF_FUNC_probe_read_kernel_str,
    BPF_FUNC_send_signal_thread, BPF_FUNC_jiffies64, BPF_FUNC_get_ns_current_pid_tgid,
    BPF_FUNC_get_current_ancestor_cgroup_id, BPF_FUNC_ktime_get_boot_ns,
    BPF_FUNC_ringbuf_output, BPF_FUNC_ringbuf_reserve, BPF_FUNC_ringbuf_submit,
    BPF_FUNC_ringbuf_discard, BPF_FUNC_ringbuf_query, BPF_FUNC_get_task_stack,
    BPF_FUNC_copy_from_user, BPF_FUNC_snprintf_btf, BPF_FUNC_per_cpu_ptr, BPF_FUNC_this_cpu_ptr,
    BPF_FUNC_task_storage_get, BPF_FUNC_task_storage_delete, BPF_FUNC_get_current_task_btf,
    BPF_FUNC_for_each_map_elem, BPF_FUNC_snprintf, BPF_FUNC_timer_init,
    BPF_FUNC_timer_set_callback, BPF_FUNC_timer_start, BPF_FUNC_timer_cancel,
    BPF_FUNC_task_pt_regs, BPF_FUNC_get_branch_snapshot, BPF_FUNC_trace_vprintk,
    BPF_FUNC_find_vma, BPF_FUNC_loop, BPF_FUNC_strncmp, BPF_FUNC_copy_from_user_task,
    BPF_FUNC_kptr_xchg, BPF_FUNC_map_lookup_percpu_elem, BPF_FUNC_dynptr_from_mem,
    BPF_FUNC_ringbuf_reserve_dynptr, BPF_FUNC_ringbuf_submit_dynptr,
    BPF_FUNC_ringbuf_discard_dynptr, BPF_FUNC_dynptr_read, BPF_FUNC_dynptr_write,
    BPF_FUNC_dynptr_data, BPF_FUNC_ktime_get_tai_ns, BPF_FUNC_user_ringbuf_drain, 210, 211,
};
constexpr uint32_t kTracingTypes[] = {
    BPF_FUNC_probe_read, BPF_FUNC_get_stackid, BPF_FUNC_probe_read_str, BPF_FUNC_get_stack,
    BPF_FUNC_get_func_ip, BPF_FUNC_get_attach_cookie,
};
constexpr uint32_t kSchedClsOnly[] = {
    BPF_FUNC_skb_store_bytes, BPF_FUNC_l3_csum_replace, BPF_FUNC_l4_csum_replace,
    BPF_FUNC_clone_redirect, BPF_FUNC_skb_vlan_push, BPF_FUNC_skb_vlan_pop,
    BPF_FUNC_skb_get_tunnel_key, BPF_FUNC_skb_set_tunnel_key, BPF_FUNC_get_route_realm,
    BPF_FUNC_skb_get_tunnel_opt, BPF_FUNC_skb_set_tunnel_opt, BPF_FUNC_skb_change_proto,
    BPF_FUNC_skb_change_type, BPF_FUNC_skb_under_cgroup, BPF_FUNC_get_hash_recalc,
    BPF_FUNC_skb_change_tail, BPF_FUNC_skb_pull_data, BPF_FUNC_csum_update,
    BPF_FUNC_set_hash_invalid, BPF_FUNC_skb_change_head, BPF_FUNC_set_hash,
    BPF_FUNC_skb_adjust_room, BPF_FUNC_skb_get_xfrm_state, BPF_FUNC_skb_cgroup_id,
    BPF_FUNC_skb_ancestor_cgroup_id, BPF_FUNC_sk_fullsock, BPF_FUNC_tcp_sock,
    BPF_FUNC_skb_ecn_set_ce, BPF_FUNC_get_listener_sock, BPF_FUNC_sk_storage_get,
    BPF_FUNC_sk_storage_delete, BPF_FUNC_sk_assign, BPF_FUNC_csum_level,
    BPF_FUNC_skb_cgroup_classid, BPF_FUNC_redirect_neigh, BPF_FUNC_redirect_peer,
    BPF_FUNC_skb_set_tstamp,
};
constexpr uint32_t kForwardingTypes[] = {
    BPF_FUNC_redirect, BPF_FUNC_csum_diff, BPF_FUNC_fib_lookup, BPF_FUNC_sk_lookup_tcp,
    BPF_FUNC_sk_lookup_udp, BPF_FUNC_sk_release, BPF_FUNC_skc_lookup_tcp,
    BPF_FUNC_tcp_check_syncookie, BPF_FUNC_tcp_gen_syncookie, BPF_FUNC_check_mtu,
    BPF_FUNC_tcp_raw_gen_syncookie_ipv4, BPF_FUNC_tcp_raw_gen_syncookie_ipv6,
    BPF_FUNC_tcp_raw_check_syncookie_ipv4, BPF_FUNC_tcp_raw_check_syncookie_ipv6,
};
constexpr uint32_t kSkBuffTypes[] = {
    BPF_FUNC_skb_load_bytes, BPF_FUNC_get_socket_cookie, BPF_FUNC_get_socket_uid,
    BPF_FUNC_skb_load_bytes_relative, BPF_FUNC_get_netns_cookie,
};
constexpr uint32_t kXdpOnly[] = {
    BPF_FUNC_xdp_adjust_head, BPF_FUNC_redirect_map, BPF_FUNC_xdp_adjust_meta,
    BPF_FUNC_xdp_adjust_tail, BPF_FUNC_xdp_get_buff_len, BPF_FUNC_xdp_load_bytes,
    BPF_FUNC_xdp_store_bytes,
};
constexpr uint32_t kPacketTypes[] = {
    BPF_FUNC_skc_to_tcp6_sock, BPF_FUNC_skc_to_tcp_sock, BPF_FUNC_skc_to_tcp_timewait_sock,
    BPF_FUNC_skc_to_tcp_request_sock, BPF_FUNC_skc_to_udp6_sock, BPF_FUNC_ktime_get_coarse_ns,
    BPF_FUNC_skc_to_unix_sock, BPF_FUNC_skc_to_mptcp_sock,
};

}  // namespace

constinit const std::span<const uint32_t> kHelpersOfEveryType = kEveryType;
constinit const std::span<const uint32_t> kHelpersOfPacketTypes = kPacketTypes;
constinit const std::span<const uint32_t> kHelpersOfForwardingTypes = kForwardingTypes;
constinit const std::span<const uint32_t> kHelpersOfSkBuffTypes = kSkBuffTypes;
constinit const std::span<const uint32_t> kHelpersOfSchedCls = kSchedClsOnly;
constinit const std::span<const uint32_t> kHelpersOfXdp = kXdpOnly;
constinit const std::span<const uint32_t> kHelpersOfTracingTypes = kTracingTypes;

}  // namespace sluice::bpf
