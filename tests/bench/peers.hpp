// The peers of a filter row. Their headers clash with each other and with linux/bpf.h, so each has a file of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice::bench {

struct Frame {
  const uint8_t* data;
  uint32_t length;
};

// Verdicts of a classic filter over packets that the peer was given at first, in the form it likes best.
class FilterPeer {
 public:
  virtual ~FilterPeer() = default;
  virtual void run(uint32_t* verdicts) = 0;
};

// libpcap's interpreter, bpf_filter(). Null: the expression does not compile.
std::unique_ptr<FilterPeer> make_libpcap_peer(const std::string& expression, const std::vector<Frame>& frames);
// DPDK's JIT of the same classic program, over rte_mbufs. Null: rte_bpf refuses it; `why` says.
std::unique_ptr<FilterPeer> make_rte_bpf_peer(const std::string& expression, const std::vector<Frame>& frames,
                                              std::string* why);

}  // namespace sluice::bench
