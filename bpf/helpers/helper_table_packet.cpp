// Helpers that work on a packet or its context.
// In order of id. Prototypes: bpf-helpers(7); what it leaves open was found by asking Linux 6.18.
#include "bpf/helpers/bodies.hpp"
#include "bpf/helpers/helper_rows.hpp"

namespace sluice::bpf {
namespace {

constexpr std::array kPacket{
    SLUICE_PROTOTYPE(skb_store_bytes, kChangesPacket, Ret::integer, Arg::ctx, Arg::anything, Arg::mem, Arg::size,
                     Arg::anything),
    SLUICE_PROTOTYPE(l3_csum_replace, kChangesPacket, Ret::integer, Arg::ctx, Arg::anything, Arg::anything,
                     Arg::anything, Arg::anything),
    SLUICE_PROTOTYPE(l4_csum_replace, kChangesPacket, Ret::integer, Arg::ctx, Arg::anything, Arg::anything,
                     Arg::anything, Arg::anything),
    SLUICE_PROTOTYPE(clone_redirect, kChangesPacket, Ret::integer, Arg::ctx, Arg::anything, Arg::anything),
    SLUICE_PROTOTYPE(skb_vlan_push, kChangesPacket, Ret::integer, Arg::ctx, Arg::anything, Arg::anything),
    SLUICE_PROTOTYPE(skb_vlan_pop, kChangesPacket, Ret::integer, Arg::ctx),
    SLUICE_PROTOTYPE(skb_get_tunnel_key, kPlain, Ret::integer, Arg::ctx, Arg::uninit_mem, Arg::size, Arg::anything),
    SLUICE_PROTOTYPE(skb_set_tunnel_key, kPlain, Ret::integer, Arg::ctx, Arg::mem, Arg::size, Arg::anything),
    SLUICE_PROTOTYPE(redirect, kPlain, Ret::integer, Arg::anything, Arg::anything),
    SLUICE_PROTOTYPE(get_route_realm, kPlain, Ret::integer, Arg::ctx),
    SLUICE_HELPER(skb_load_bytes, true, kPlain, Ret::integer, Arg::ctx, Arg::anything, Arg::uninit_mem, Arg::size),
    SLUICE_HELPER(csum_diff, true, kPacketMemory, Ret::integer, Arg::mem_or_null, Arg::size_or_zero, Arg::mem_or_null,
                     Arg::size_or_zero, Arg::anything),
    SLUICE_PROTOTYPE(skb_get_tunnel_opt, kPlain, Ret::integer, Arg::ctx, Arg::uninit_mem, Arg::size),
    SLUICE_PROTOTYPE(skb_set_tunnel_opt, kPlain, Ret::integer, Arg::ctx, Arg::mem, Arg::size),
    SLUICE_PROTOTYPE(skb_change_proto, kChangesPacket, Ret::integer, Arg::ctx, Arg::anything, Arg::anything),
    SLUICE_PROTOTYPE(skb_change_type, kPlain, Ret::integer, Arg::ctx, Arg::anything),
    SLUICE_PROTOTYPE(skb_under_cgroup, kPlain, Ret::integer, Arg::ctx, Arg::const_map, Arg::anything),
    SLUICE_PROTOTYPE(get_hash_recalc, kPlain, Ret::integer, Arg::ctx),
    SLUICE_PROTOTYPE(skb_change_tail, kChangesPacket, Ret::integer, Arg::ctx, Arg::anything, Arg::anything),
    SLUICE_PROTOTYPE(skb_pull_data, kChangesPacket, Ret::integer, Arg::ctx, Arg::anything),
    SLUICE_PROTOTYPE(csum_update, kPlain, Ret::integer, Arg::ctx, Arg::anything),
    SLUICE_PROTOTYPE(set_hash_invalid, kPlain, Ret::integer, Arg::ctx),
    SLUICE_PROTOTYPE(skb_change_head, kChangesPacket, Ret::integer, Arg::ctx, Arg::anything, Arg::anything),
    SLUICE_PROTOTYPE(xdp_adjust_head, kChangesPacket, Ret::integer, Arg::ctx, Arg::anything),
    SLUICE_PROTOTYPE(get_socket_cookie, kPlain, Ret::integer, Arg::ctx),
    SLUICE_PROTOTYPE(get_socket_uid, kPlain, Ret::integer, Arg::ctx),
    SLUICE_PROTOTYPE(set_hash, kPlain, Ret::integer, Arg::ctx, Arg::anything),
    SLUICE_PROTOTYPE(skb_adjust_room, kChangesPacket, Ret::integer, Arg::ctx, Arg::anything, Arg::anything,
                     Arg::anything),
    SLUICE_PROTOTYPE(redirect_map, kPlain, Ret::integer, Arg::const_map, Arg::anything, Arg::anything),
    SLUICE_PROTOTYPE(xdp_adjust_meta, kChangesPacket, Ret::integer, Arg::ctx, Arg::anything),
    SLUICE_PROTOTYPE(xdp_adjust_tail, kChangesPacket, Ret::integer, Arg::ctx, Arg::anything),
    SLUICE_PROTOTYPE(skb_get_xfrm_state, kPlain, Ret::integer, Arg::ctx, Arg::anything, Arg::uninit_mem, Arg::size,
                     Arg::anything),
    SLUICE_HELPER(skb_load_bytes_relative, true, kPlain, Ret::integer, Arg::ctx, Arg::anything, Arg::uninit_mem,
                     Arg::size, Arg::anything),
    SLUICE_PROTOTYPE(fib_lookup, kGplOnly, Ret::integer, Arg::ctx, Arg::write_mem, Arg::size, Arg::anything),
    SLUICE_PROTOTYPE(skb_cgroup_id, kPlain, Ret::integer, Arg::ctx),
    SLUICE_PROTOTYPE(skb_ancestor_cgroup_id, kPlain, Ret::integer, Arg::ctx, Arg::anything),
    SLUICE_PROTOTYPE(skb_ecn_set_ce, kPlain, Ret::integer, Arg::ctx),
    SLUICE_PROTOTYPE(get_netns_cookie, kPlain, Ret::integer, Arg::ctx_or_null),
    SLUICE_PROTOTYPE(csum_level, kPlain, Ret::integer, Arg::ctx, Arg::anything),
    SLUICE_PROTOTYPE(skb_cgroup_classid, kPlain, Ret::integer, Arg::ctx),
    SLUICE_PROTOTYPE(redirect_neigh, kPlain, Ret::integer, Arg::anything, Arg::mem_or_null, Arg::size_or_zero,
                     Arg::anything),
    SLUICE_PROTOTYPE(redirect_peer, kPlain, Ret::integer, Arg::anything, Arg::anything),
    SLUICE_PROTOTYPE(check_mtu, kGplOnly, Ret::integer, Arg::ctx, Arg::anything, Arg::int_in_out, Arg::anything,
                     Arg::anything),
    SLUICE_PROTOTYPE(xdp_get_buff_len, kPlain, Ret::integer, Arg::ctx),
    SLUICE_PROTOTYPE(xdp_load_bytes, kPlain, Ret::integer, Arg::ctx, Arg::anything, Arg::uninit_mem, Arg::size),
    SLUICE_PROTOTYPE(xdp_store_bytes, kPlain, Ret::integer, Arg::ctx, Arg::anything, Arg::mem, Arg::size),
    SLUICE_PROTOTYPE(skb_set_tstamp, kPlain, Ret::integer, Arg::ctx, Arg::anything, Arg::anything),
    SLUICE_PROTOTYPE(tcp_raw_gen_syncookie_ipv4, kGplOnly | kPacketMemory, Ret::integer, Arg::ipv4_header, Arg::mem,
                     Arg::size_or_zero),
    SLUICE_PROTOTYPE(tcp_raw_gen_syncookie_ipv6, kGplOnly | kPacketMemory, Ret::integer, Arg::ipv6_header, Arg::mem,
                     Arg::size_or_zero),
    SLUICE_PROTOTYPE(tcp_raw_check_syncookie_ipv4, kGplOnly | kPacketMemory, Ret::integer, Arg::ipv4_header,
                     Arg::tcp_header),
    SLUICE_PROTOTYPE(tcp_raw_check_syncookie_ipv6, kGplOnly | kPacketMemory, Ret::integer, Arg::ipv6_header,
                     Arg::tcp_header),
};

}  // namespace

std::span<const Helper> packet_helpers() { return kPacket; }

}  // namespace sluice::bpf
