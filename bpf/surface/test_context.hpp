// The context a test run starts with (ctx_in) and ends with (ctx_out): struct __sk_buff or struct
// xdp_md. Which fields a caller may set is what Linux 6.18 lets it set. Private to bpf/surface.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <vector>

#include "bpf/progs/packet_context.hpp"
#include "bpf/surface/call.hpp"

namespace sluice::bpf::surface {

class TestContext {
 public:
  explicit TestContext(uint32_t program_type) : xdp_(program_type == BPF_PROG_TYPE_XDP) {}

  // EINVAL (a field that may not be set), E2BIG (a longer structure with bytes we do not know),
  // EFAULT. XDP: data_end cuts the packet.
  int read(Call& call, std::vector<uint8_t>* frame);
  void prepare(RunEnv* env) const;
  [[nodiscard]] uint32_t wire_length(uint32_t captured) const {
    return skb_.wire_len != 0 ? skb_.wire_len : captured;
  }
  // Before and after each run: what one run leaves the next one finds.
  void fill(PacketContext* ctx) const;
  void take(const PacketContext& ctx);
  // ENOSPC where the caller's room is too small, after what fits is written. EFAULT.
  int write(Call& call, uint32_t length);

 private:
  int check_skb(uint32_t length) const;
  int check_xdp(std::vector<uint8_t>* frame) const;

  bool xdp_;
  bool wanted_ = false;
  __sk_buff skb_{};
  xdp_md md_{};
};

}  // namespace sluice::bpf::surface
