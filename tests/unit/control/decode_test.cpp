#include "control/decode.hpp"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

config::Label label(config::Decode kind, std::vector<config::Decoder> more = {}) {
  config::Label made;
  made.decoders.push_back({kind, {}, false});
  for (auto& decoder : more) made.decoders.push_back(std::move(decoder));
  return made;
}

std::string decode(const config::Label& label, std::vector<uint8_t> bytes) {
  bool known = false;
  return decode_label(label, bytes, known);
}

TEST(Decode, UintReadsTheMachinesByteOrderInEverySize) {
  const auto uint = label(config::Decode::uint);
  EXPECT_EQ(decode(uint, {200}), "200");
  EXPECT_EQ(decode(uint, {1, 2}), "513");
  EXPECT_EQ(decode(uint, {6, 0, 0, 0}), "6");
  EXPECT_EQ(decode(uint, {255, 255, 255, 255, 255, 255, 255, 255}), "18446744073709551615");
}

TEST(Decode, HexKeepsEveryByteInOrder) {
  EXPECT_EQ(decode(label(config::Decode::hex), {0, 0x0a, 0xff}), "000aff");
}

TEST(Decode, StringEndsAtTheFirstZeroByteAndEscapesWhatIsNotPrintable) {
  EXPECT_EQ(decode(label(config::Decode::string), {'a', 'b', 0, 'c'}), "ab");
  EXPECT_EQ(decode(label(config::Decode::string), {'a', 0x80, '\n'}), "a\\x80\\x0a");
}

TEST(Decode, InetIpReadsBothFamilies) {
  const auto address = label(config::Decode::inet_ip);
  EXPECT_EQ(decode(address, {192, 0, 2, 1}), "192.0.2.1");
  EXPECT_EQ(decode(address, {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}),
            "2001:db8::1");
}

TEST(Decode, AStaticMapNamesWhatItKnowsAndMarksTheRest) {
  const std::map<std::string, std::string> names{{"6", "tcp"}};
  const auto strict = label(config::Decode::uint, {{config::Decode::static_map, names, false}});
  const auto lenient = label(config::Decode::uint, {{config::Decode::static_map, names, true}});
  const std::vector<uint8_t> tcp{6};
  bool known = false;
  EXPECT_EQ(decode_label(strict, tcp, known), "tcp");
  EXPECT_TRUE(known);
  EXPECT_EQ(decode(strict, {17}), "unknown:17");
  EXPECT_EQ(decode(lenient, {17}), "17");
  known = false;
  EXPECT_EQ(decode_label(lenient, std::vector<uint8_t>{17}, known), "17");
  EXPECT_FALSE(known);
}

}  // namespace
}  // namespace sluice::control
