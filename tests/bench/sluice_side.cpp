#include "tests/bench/sluice_side.hpp"

#include <algorithm>
#include <cstring>

#include "base/limits.hpp"
#include "bpf/jit/jit.hpp"

namespace sluice::bench {
namespace {

constexpr uint32_t kRoom = 128;  // in front of each frame, as an rte_mbuf has it
constexpr uint32_t kFrameSlot = kRoom + 1536;

void put16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

// IPv4 in Ethernet: TCP, UDP or ICMP, ports of a few services, addresses of `flows` flows.
uint32_t make_frame(uint8_t* frame, std::mt19937_64& random, uint32_t flows) {
  static constexpr uint16_t kPorts[] = {80, 443, 22, 53, 123, 8080};
  static constexpr uint16_t kLengths[] = {60, 64, 128, 590, 1514};
  const auto flow = static_cast<uint32_t>(random() % flows);
  std::memset(frame, 0, 64);
  put16(frame + 12, 0x0800);
  frame[14] = 0x45;
  frame[23] = flow % 20 == 0 ? 1 : flow % 3 == 0 ? 17 : 6;
  std::memcpy(frame + 26, &flow, sizeof flow);
  frame[30] = 10;
  put16(frame + 34, 1024 + flow % 50'000);
  put16(frame + 36, kPorts[flow % 6]);
  return kLengths[random() % 5];
}

}  // namespace

Traffic::Traffic(uint32_t packets, uint32_t flows) : bytes_(size_t{packets} * kFrameSlot) {
  std::mt19937_64 random(7);
  for (uint32_t i = 0; i < packets; i++) {
    uint8_t* frame = bytes_.data() + size_t{i} * kFrameSlot + kRoom;
    const uint32_t length = make_frame(frame, random, flows);
    frames.push_back({frame, length});
    bpf::LinearPacket packet;
    packet.buffer = frame - kRoom;
    packet.data_off = kRoom;
    packet.captured = packet.wire_length = length;
    linear.push_back(packet);
  }
}

Result<std::unique_ptr<Sluice>> Sluice::make(std::shared_ptr<const bpf::AnnotatedProgram> program,
                                             const Traffic& traffic) {
  auto burst = bpf::jit::make_burst({{std::move(program)}, bpf::kLinearLayout});
  if (!burst) return tl::unexpected<Error>(std::move(burst.error()));
  return std::unique_ptr<Sluice>(new Sluice(std::move(*burst), traffic));
}

Sluice::Sluice(std::unique_ptr<bpf::Burst> burst, const Traffic& traffic) : burst_(std::move(burst)) {
  for (const auto& packet : traffic.linear) packets_.push_back(const_cast<bpf::LinearPacket*>(&packet));
}

void Sluice::run(uint32_t* verdicts) {
  const auto count = static_cast<uint32_t>(packets_.size());
  for (uint32_t i = 0; i < count; i += kBurst) {
    burst_->run(packets_.data() + i, std::min(kBurst, count - i), verdicts + i, &env_, &counters_);
  }
}

}  // namespace sluice::bench
