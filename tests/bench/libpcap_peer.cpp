#include <pcap.h>

#include "tests/bench/peers.hpp"

namespace sluice::bench {
namespace {

class LibpcapPeer : public FilterPeer {
 public:
  explicit LibpcapPeer(const std::vector<Frame>& frames) : frames_(frames) {}
  ~LibpcapPeer() override { pcap_freecode(&program_); }
  LibpcapPeer(const LibpcapPeer&) = delete;
  LibpcapPeer& operator=(const LibpcapPeer&) = delete;

  bool compile(const std::string& expression) {
    pcap_t* dead = pcap_open_dead(DLT_EN10MB, 262144);
    const int failed = pcap_compile(dead, &program_, expression.c_str(), 1, PCAP_NETMASK_UNKNOWN);
    pcap_close(dead);
    return failed == 0;
  }
  void run(uint32_t* verdicts) override {
    for (size_t i = 0; i < frames_.size(); i++) {
      verdicts[i] = bpf_filter(program_.bf_insns, frames_[i].data, frames_[i].length, frames_[i].length);
    }
  }

 private:
  const std::vector<Frame>& frames_;
  bpf_program program_{};
};

}  // namespace

std::unique_ptr<FilterPeer> make_libpcap_peer(const std::string& expression, const std::vector<Frame>& frames) {
  auto peer = std::make_unique<LibpcapPeer>(frames);
  if (!peer->compile(expression)) return nullptr;
  return peer;
}

}  // namespace sluice::bench
