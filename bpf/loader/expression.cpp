#include "bpf/loader/expression.hpp"

#include <pcap/pcap.h>

#include <memory>

#include "base/limits.hpp"

namespace sluice::bpf {
namespace {

struct ClosePcap {
  void operator()(pcap_t* pcap) const { ::pcap_close(pcap); }
};
struct FreeCode {
  void operator()(bpf_program* program) const { ::pcap_freecode(program); }
};

// What `inbound`, `outbound` and `ifindex` read: the kernel's word on a packet, above the negative
// offsets (linux/filter.h: SKF_AD_OFF, SKF_AD_PKTTYPE, SKF_AD_IFINDEX).
constexpr bpf_u_int32 kDirection = 0xfffff000 + 4;
constexpr bpf_u_int32 kInterface = 0xfffff000 + 8;

const char* missing_source(const struct bpf_insn& insn) {
  constexpr int kHalfWord = BPF_LD | BPF_H | BPF_ABS;
  constexpr int kWord = BPF_LD | BPF_W | BPF_ABS;
  if (insn.code == kHalfWord && insn.k == kDirection) return "direction (inbound, outbound)";
  if (insn.code == kWord && insn.k == kInterface) return "interface (ifindex)";
  return nullptr;
}

}  // namespace

Result<std::vector<ExpressionInsn>> compile_expression(const std::string& expression) {
  // A handle of no device: `vlan` then reads the packet alone, no SKF_AD_OFF extensions.
  const std::unique_ptr<pcap_t, ClosePcap> pcap(::pcap_open_dead(DLT_EN10MB, kMaxPacket));
  if (pcap == nullptr) return fail(ENOMEM, "libpcap: out of memory");
  if (expression.find('\0') != std::string::npos)
    return fail(EINVAL, "the expression holds a zero byte");
  bpf_program program{};
  constexpr int kOptimise = 1;
  // as tcpdump has it for a capture file, so that `ip broadcast` compiles
  constexpr bpf_u_int32 kNetmask = 0;
  if (::pcap_compile(pcap.get(), &program, expression.c_str(), kOptimise, kNetmask) != 0) {
    return fail(EINVAL, ::pcap_geterr(pcap.get()));
  }
  const std::unique_ptr<bpf_program, FreeCode> owner(&program);
  std::vector<ExpressionInsn> insns;
  insns.reserve(program.bf_len);
  for (unsigned i = 0; i < program.bf_len; i++) {
    const auto& insn = program.bf_insns[i];
    if (const char* what = missing_source(insn); what != nullptr) {
      return fail(EINVAL, std::string("a packet's ") + what +
                              " is not available: only a kernel knows it");
    }
    insns.push_back({insn.code, insn.jt, insn.jf, insn.k});
  }
  return insns;
}

}  // namespace sluice::bpf
