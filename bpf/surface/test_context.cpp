#include "bpf/surface/test_context.hpp"

#include <algorithm>
#include <array>

#include "base/limits.hpp"

namespace sluice::bpf::surface {
namespace {

struct Span {
  size_t offset;
  size_t size;
};
#define SPAN(field) Span{offsetof(__sk_buff, field), sizeof(__sk_buff{}.field)}

// Fields of struct __sk_buff that a caller may set, in order of offset.
constexpr std::array kSettable{SPAN(mark),     SPAN(priority), SPAN(ifindex),
                               SPAN(cb),       SPAN(tstamp),   SPAN(wire_len),
                               SPAN(gso_segs), SPAN(gso_size), SPAN(hwtstamp)};
#undef SPAN

constexpr uint32_t kMaxSegments = 65535;  // Linux: GSO_MAX_SEGS

bool is_settable(size_t at) {
  return std::any_of(kSettable.begin(), kSettable.end(), [at](const Span& span) {
    return at >= span.offset && at < span.offset + span.size;
  });
}

}  // namespace

int TestContext::check_skb(uint32_t length) const {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&skb_);
  for (size_t at = 0; at < sizeof skb_; at++) {
    if (bytes[at] != 0 && !is_settable(at)) return -EINVAL;
  }
  if (skb_.ifindex > kMaxPorts || skb_.gso_segs > kMaxSegments) return -EINVAL;
  return skb_.wire_len != 0 && (skb_.wire_len < length || skb_.wire_len > kMaxPacket) ? -EINVAL : 0;
}

int TestContext::check_xdp(std::vector<uint8_t>* frame) const {
  // No metadata in front of the packet.
  if (md_.data != 0 || md_.data_meta != 0 || md_.data_end > frame->size() ||
      md_.data_end < kMinFrame)
    return -EINVAL;
  if (md_.egress_ifindex != 0 || md_.rx_queue_index != 0 || md_.ingress_ifindex > kMaxPorts)
    return -EINVAL;
  frame->resize(md_.data_end);
  return 0;
}

int TestContext::read(Call& call, std::vector<uint8_t>* frame) {
  const auto& test = call.attr.test;
  wanted_ = test.ctx_out != 0;
  if (test.ctx_in == 0) return 0;
  const size_t known = xdp_ ? sizeof md_ : sizeof skb_;
  std::vector<uint8_t> given;
  constexpr uint32_t kGivenMax = 4096;
  if (test.ctx_size_in > kGivenMax) return -E2BIG;
  if (const int error = call.copy_in(test.ctx_in, test.ctx_size_in, &given); error != 0)
    return error;
  for (size_t at = known; at < given.size(); at++) {
    if (given[at] != 0) return -E2BIG;
  }
  std::memcpy(xdp_ ? static_cast<void*>(&md_) : &skb_, given.data(), std::min(known, given.size()));
  return xdp_ ? check_xdp(frame) : check_skb(static_cast<uint32_t>(frame->size()));
}

void TestContext::prepare(RunEnv* env) const {
  if (skb_.ifindex != 0) env->ifindex = skb_.ifindex;
  env->ingress_ifindex = xdp_ ? std::max(md_.ingress_ifindex, 1u) : 0;
}

void TestContext::fill(PacketContext* ctx) const {
  ctx->mark = skb_.mark;
  ctx->priority = skb_.priority;
  std::copy(std::begin(skb_.cb), std::end(skb_.cb), ctx->cb);
  ctx->tstamp_ns = skb_.tstamp;
}

void TestContext::take(const PacketContext& ctx) {
  skb_.mark = ctx.mark;
  skb_.priority = ctx.priority;
  std::copy(std::begin(ctx.cb), std::end(ctx.cb), skb_.cb);
  skb_.tstamp = ctx.tstamp_ns;
}

int TestContext::write(Call& call, uint32_t length) {
  auto& test = call.attr.test;
  if (!wanted_) return 0;
  if (skb_.ifindex == 0) skb_.ifindex = 1;
  skb_.wire_len = wire_length(length);
  md_.data_end = length;
  const uint32_t size = xdp_ ? sizeof md_ : sizeof skb_;
  const uint32_t room = std::min<uint32_t>(test.ctx_size_out, size);
  if (call.copy_out(test.ctx_out, xdp_ ? static_cast<const void*>(&md_) : &skb_, room) != 0)
    return -EFAULT;
  test.ctx_size_out = size;
  call.write_back(test.ctx_size_out);
  return room < size ? -ENOSPC : 0;
}

}  // namespace sluice::bpf::surface
