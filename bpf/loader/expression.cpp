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

}  // namespace

Result<std::vector<ExpressionInsn>> compile_expression(const std::string& expression) {
  // A handle of no device: the code then reads nothing but the packet (no SKF_AD_OFF extensions of live captures).
  const std::unique_ptr<pcap_t, ClosePcap> pcap(::pcap_open_dead(DLT_EN10MB, kMaxPacket));
  if (pcap == nullptr) return fail(ENOMEM, "libpcap: out of memory");
  if (expression.find('\0') != std::string::npos) return fail(EINVAL, "the expression holds a zero byte");
  bpf_program program{};
  constexpr int kOptimise = 1;
  constexpr bpf_u_int32 kNetmask = 0;  // as tcpdump has it for a capture file, so that `ip broadcast` compiles
  if (::pcap_compile(pcap.get(), &program, expression.c_str(), kOptimise, kNetmask) != 0) {
    return fail(EINVAL, ::pcap_geterr(pcap.get()));
  }
  const std::unique_ptr<bpf_program, FreeCode> owner(&program);
  std::vector<ExpressionInsn> insns;
  insns.reserve(program.bf_len);
  for (unsigned i = 0; i < program.bf_len; i++) {
    const auto& insn = program.bf_insns[i];
    insns.push_back({insn.code, insn.jt, insn.jf, insn.k});
  }
  return insns;
}

}  // namespace sluice::bpf
