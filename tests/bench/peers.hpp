// The peers of a filter row. Their headers clash with each other and with linux/bpf.h, so each has
// a file of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice::bench {

struct Frame {
  const uint8_t* data;  // at least 128 bytes of room in front
  uint32_t length;
};

// An instruction of classic BPF (pcap.h and linux/bpf.h each have a struct bpf_insn).
struct ClassicInsn {
  uint16_t code;
  uint8_t jump_true;
  uint8_t jump_false;
  uint32_t k;
};

// What libpcap makes of the expression, optimised, for Ethernet. Empty: it does not compile.
std::vector<ClassicInsn> compile_expression(const std::string& expression);

// The same as C text with a function `void burst(void* const* packets, uint32_t count, uint32_t*
// verdicts)` over bpf::LinearPacket; a verdict is at most the packet's length.
std::string print_native_filter(const std::vector<ClassicInsn>& program);

// Verdicts of a classic filter over packets that the peer was given at first, in the form it likes
// best.
class FilterPeer {
 public:
  virtual ~FilterPeer() = default;
  virtual void run(uint32_t* verdicts) = 0;
};

// libpcap's interpreter, bpf_filter(). Null: the expression does not compile.
std::unique_ptr<FilterPeer> make_libpcap_peer(const std::string& expression,
                                              const std::vector<Frame>& frames);

// Frames as rte_mbufs, without a pool behind them: headroom, then the frame.
class Mbufs {
 public:
  virtual ~Mbufs() = default;
  [[nodiscard]] virtual const std::vector<void*>& packets() const = 0;  // rte_mbuf*
};
std::unique_ptr<Mbufs> make_mbufs(const std::vector<Frame>& frames);

// DPDK's JIT of the same classic program, over rte_mbufs. Null: rte_bpf refuses it; `why` says.
std::unique_ptr<FilterPeer> make_rte_bpf_peer(const std::string& expression, const Mbufs& mbufs,
                                              std::string* why);

}  // namespace sluice::bench
