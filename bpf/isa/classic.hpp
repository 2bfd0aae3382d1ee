// Classic BPF (McCanne and Jacobson, "The BSD Packet Filter", 1993; libpcap's variant) to eBPF. The
// result behaves as libpcap's bpf_filter() does on the same packet: a load out of range, or a
// division by zero, ends with 0; shifts by 32 and more give 0. What nothing can reach is left out.
// Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "bpf/isa/insn.hpp"

namespace sluice::bpf {

// One classic instruction, as pcap.h's struct bpf_insn and linux/filter.h's struct sock_filter have
// it.
struct ClassicInsn {
  uint16_t code;
  uint8_t jt;
  uint8_t jf;
  uint32_t k;
};
static_assert(sizeof(ClassicInsn) == 8);

// errors: EINVAL for an instruction that is no classic BPF, a jump out of the program, or a program
// that does not end.
Result<std::vector<Insn>> convert_classic(std::span<const ClassicInsn> program);

}  // namespace sluice::bpf
