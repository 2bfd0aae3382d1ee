// func_info and line_info of a PROG_LOAD. Private to bpf/surface.
#pragma once

#include "bpf/surface/prog_spec.hpp"

namespace sluice::bpf::surface {

// Reads prog_btf_fd and both arrays, and checks what does not depend on the instructions. EBADF,
// EINVAL, E2BIG, EFAULT.
Status read_debug_info(Call& call, ProgSpec* spec);

}  // namespace sluice::bpf::surface
