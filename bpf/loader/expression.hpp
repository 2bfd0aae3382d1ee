// pcap-filter(7) expressions to classic BPF, by libpcap. Its header and linux/bpf.h both define
// struct bpf_insn: this one includes neither. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace sluice::bpf {

// A classic instruction as libpcap hands it out.
struct ExpressionInsn {
  uint16_t code;
  uint8_t jt;
  uint8_t jf;
  uint32_t k;
};

// For Ethernet captures, optimised as tcpdump does, accepting kMaxPacket bytes. EINVAL with
// libpcap's words, or for what needs more than the packet.
Result<std::vector<ExpressionInsn>> compile_expression(const std::string& expression);

}  // namespace sluice::bpf
