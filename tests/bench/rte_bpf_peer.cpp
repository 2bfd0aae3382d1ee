#include <pcap/pcap.h>

#include <rte_bpf.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "tests/bench/peers.hpp"

namespace sluice::bench {
namespace {

class PlainMbufs : public Mbufs {
 public:
  explicit PlainMbufs(const std::vector<Frame>& frames) : mbufs_(frames.size()) {
    for (size_t i = 0; i < frames.size(); i++) {
      rte_mbuf& mbuf = mbufs_[i];
      mbuf.buf_addr = const_cast<uint8_t*>(frames[i].data) - RTE_PKTMBUF_HEADROOM;
      mbuf.data_off = RTE_PKTMBUF_HEADROOM;
      mbuf.buf_len = static_cast<uint16_t>(RTE_PKTMBUF_HEADROOM + frames[i].length);
      mbuf.data_len = static_cast<uint16_t>(frames[i].length);
      mbuf.pkt_len = frames[i].length;
      mbuf.nb_segs = 1;
      mbuf.next = nullptr;
      packets_.push_back(&mbuf);
    }
  }
  [[nodiscard]] const std::vector<void*>& packets() const override { return packets_; }

 private:
  std::vector<rte_mbuf> mbufs_;
  std::vector<void*> packets_;
};

class RteBpfPeer : public FilterPeer {
 public:
  explicit RteBpfPeer(const Mbufs& mbufs) : packets_(mbufs.packets()) {}
  ~RteBpfPeer() override { rte_bpf_destroy(bpf_); }
  RteBpfPeer(const RteBpfPeer&) = delete;
  RteBpfPeer& operator=(const RteBpfPeer&) = delete;

  bool compile(const std::string& expression, std::string* why) {
    pcap_t* dead = pcap_open_dead(DLT_EN10MB, 262144);
    bpf_program classic{};
    const int failed = pcap_compile(dead, &classic, expression.c_str(), 1, PCAP_NETMASK_UNKNOWN);
    pcap_close(dead);
    if (failed != 0) return *why = "the expression does not compile", false;
    rte_bpf_prm* parameters = rte_bpf_convert(&classic);
    pcap_freecode(&classic);
    if (parameters == nullptr)
      return *why = std::string("rte_bpf_convert: ") + rte_strerror(rte_errno), false;
    bpf_ = rte_bpf_load(parameters);
    rte_free(parameters);
    if (bpf_ == nullptr)
      return *why = std::string("rte_bpf_load: ") + rte_strerror(rte_errno), false;
    if (rte_bpf_get_jit(bpf_, &jit_) != 0 || jit_.func == nullptr)
      return *why = "rte_bpf has no JIT here", false;
    return true;
  }
  void run(uint32_t* verdicts) override {
    for (size_t i = 0; i < packets_.size(); i++)
      verdicts[i] = static_cast<uint32_t>(jit_.func(packets_[i]));
  }

 private:
  const std::vector<void*>& packets_;
  rte_bpf* bpf_ = nullptr;
  rte_bpf_jit jit_{};
};

}  // namespace

std::unique_ptr<Mbufs> make_mbufs(const std::vector<Frame>& frames) {
  return std::make_unique<PlainMbufs>(frames);
}

std::unique_ptr<FilterPeer> make_rte_bpf_peer(const std::string& expression, const Mbufs& mbufs,
                                              std::string* why) {
  auto peer = std::make_unique<RteBpfPeer>(mbufs);
  if (!peer->compile(expression, why)) return nullptr;
  return peer;
}

}  // namespace sluice::bench
