// The context a program sees: fields of struct __sk_buff and packet loads at the edges.
#include "bpf/progs/sk_buff.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace sluice::bpf {
namespace {

struct SkBuff : testing::Test {
  explicit SkBuff() { reset(20); }
  void reset(uint32_t captured) {
    bytes.assign(captured, 0);
    for (uint32_t i = 0; i < captured; i++) bytes[i] = static_cast<uint8_t>(i * 2);
    packet = {};
    packet.buffer = bytes.data();
    packet.captured = captured;
    packet.wire_length = captured + 100;
    reload();
  }
  void reload() { load_context(&ctx, kLinearLayout, &packet, &env); }
  uint64_t field(uint32_t offset, uint32_t size = 4) { return ctx_read(&ctx, offset, size); }

  std::vector<uint8_t> bytes;
  LinearPacket packet;
  RunEnv env;
  PacketContext ctx;
};

TEST_F(SkBuff, LenIsTheWireLengthAndLoadsSeeTheCapturedBytes) {
  EXPECT_EQ(field(offsetof(__sk_buff, len)), 120u);
  uint32_t value = 0;
  EXPECT_TRUE(packet_load(&ctx, 16, 4, &value));
  EXPECT_EQ(value, 0x20222426u);
  EXPECT_FALSE(packet_load(&ctx, 17, 4, &value));
  EXPECT_FALSE(packet_load(&ctx, INT32_MAX, 1, &value));
}

TEST_F(SkBuff, NegativeOffsetsCountFromTheNetworkOrLinkHeader) {
  uint32_t value = 0;
  EXPECT_TRUE(packet_load(&ctx, kSkfNetOff, 1, &value));
  EXPECT_EQ(value, 28u);
  EXPECT_TRUE(packet_load(&ctx, kSkfLlOff + 1, 1, &value));
  EXPECT_EQ(value, 2u);
  EXPECT_FALSE(packet_load(&ctx, -1, 1, &value));
  EXPECT_FALSE(packet_load(&ctx, INT32_MIN, 1, &value));
}

TEST_F(SkBuff, ProtocolIsTheEthertypeInNetworkOrder) {
  const uint8_t ipv4[2] = {0x08, 0x00};
  std::memcpy(&bytes[12], ipv4, 2);
  EXPECT_EQ(field(offsetof(__sk_buff, protocol)), 0x0008u);
  EXPECT_EQ(field(offsetof(__sk_buff, protocol), 1), 0x08u);
}

TEST_F(SkBuff, ALengthInPlaceOfTheEthertypeIs8022OrRawIpx) {
  bytes[12] = 0;
  bytes[13] = 6;
  EXPECT_EQ(field(offsetof(__sk_buff, protocol)), 0x0400u);
  bytes[14] = bytes[15] = 0xff;
  EXPECT_EQ(field(offsetof(__sk_buff, protocol)), 0x0100u);
}

TEST_F(SkBuff, PacketTypeComesFromTheDestinationAddress) {
  const auto with = [&](std::vector<uint8_t> mac) {
    std::copy(mac.begin(), mac.end(), bytes.begin());
    return field(offsetof(__sk_buff, pkt_type));
  };
  EXPECT_EQ(with({0, 0, 0, 0, 0, 0}), 0u);
  EXPECT_EQ(with({0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), 1u);
  EXPECT_EQ(with({1, 0, 0x5e, 0, 0, 1}), 2u);
  EXPECT_EQ(with({2, 0, 0, 0, 0, 1}), 3u);
}

TEST_F(SkBuff, CbIsPlainMemoryOfAnyAccessSize) {
  ctx_write(&ctx, offsetof(__sk_buff, cb[0]), 8, 0x1122334455667788);
  EXPECT_EQ(field(offsetof(__sk_buff, cb[1])), 0x11223344u);
  EXPECT_EQ(field(offsetof(__sk_buff, cb[0]) + 1, 1), 0x77u);
  ctx_write(&ctx, offsetof(__sk_buff, cb[4]) + 2, 2, 0xabcd);
  EXPECT_EQ(field(offsetof(__sk_buff, cb[4])), 0xabcd0000u);
}

TEST_F(SkBuff, AShortPacketHasNoProtocol) {
  reset(13);
  EXPECT_EQ(field(offsetof(__sk_buff, protocol)), 0u);
}

}  // namespace
}  // namespace sluice::bpf
