// Commands whose work is bounded by one element or object: the daemon answers them on the socket's
// thread, `sluice exec` on its main one. Any thread.
#pragma once

#include <linux/bpf.h>

#include <algorithm>
#include <iterator>

namespace sluice::bpf {

inline constexpr int kQuickCommands[] = {
    BPF_MAP_LOOKUP_ELEM,   BPF_MAP_UPDATE_ELEM,  BPF_MAP_DELETE_ELEM,
    BPF_MAP_GET_NEXT_KEY,  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
    BPF_PROG_GET_NEXT_ID,  BPF_MAP_GET_NEXT_ID,  BPF_BTF_GET_NEXT_ID,  BPF_LINK_GET_NEXT_ID,
    BPF_PROG_GET_FD_BY_ID, BPF_MAP_GET_FD_BY_ID, BPF_BTF_GET_FD_BY_ID, BPF_LINK_GET_FD_BY_ID,
    BPF_OBJ_GET_INFO_BY_FD, BPF_OBJ_GET,         BPF_MAP_FREEZE,       BPF_PROG_BIND_MAP};

inline bool is_quick(int cmd) {
  return std::find(std::begin(kQuickCommands), std::end(kQuickCommands), cmd) !=
         std::end(kQuickCommands);
}

}  // namespace sluice::bpf
