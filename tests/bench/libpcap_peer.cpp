#include <pcap.h>

#include "tests/bench/peers.hpp"

namespace sluice::bench {
namespace {

bool compile(const std::string& expression, bpf_program* program) {
  pcap_t* dead = pcap_open_dead(DLT_EN10MB, 262144);
  const int failed = pcap_compile(dead, program, expression.c_str(), 1, PCAP_NETMASK_UNKNOWN);
  pcap_close(dead);
  return failed == 0;
}

class LibpcapPeer : public FilterPeer {
 public:
  explicit LibpcapPeer(const std::vector<Frame>& frames) : frames_(frames) {}
  ~LibpcapPeer() override { pcap_freecode(&program_); }
  LibpcapPeer(const LibpcapPeer&) = delete;
  LibpcapPeer& operator=(const LibpcapPeer&) = delete;

  bool compile_program(const std::string& expression) { return compile(expression, &program_); }
  void run(uint32_t* verdicts) override {
    for (size_t i = 0; i < frames_.size(); i++) {
      verdicts[i] =
          bpf_filter(program_.bf_insns, frames_[i].data, frames_[i].length, frames_[i].length);
    }
  }

 private:
  const std::vector<Frame>& frames_;
  bpf_program program_{};
};

}  // namespace

std::vector<ClassicInsn> compile_expression(const std::string& expression) {
  bpf_program program{};
  std::vector<ClassicInsn> insns;
  if (!compile(expression, &program)) return insns;
  for (unsigned i = 0; i < program.bf_len; i++) {
    const auto& insn = program.bf_insns[i];
    insns.push_back({insn.code, insn.jt, insn.jf, insn.k});
  }
  pcap_freecode(&program);
  return insns;
}

std::unique_ptr<FilterPeer> make_libpcap_peer(const std::string& expression,
                                              const std::vector<Frame>& frames) {
  auto peer = std::make_unique<LibpcapPeer>(frames);
  if (!peer->compile_program(expression)) return nullptr;
  return peer;
}

}  // namespace sluice::bench
