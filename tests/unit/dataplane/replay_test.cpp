#include "dataplane/replay.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>

#include "dataplane/mbuf_layout.hpp"
#include "tests/unit/dataplane/capture_file.hpp"
#include "tests/unit/dataplane/fake_burst.hpp"

namespace sluice::dataplane {
namespace {

uint32_t keep_all(const bpf::PacketContext&) { return UINT32_MAX; }

class Replay : public testing::Test {
 protected:
  ReplayRequest request(const std::string& bytes, FakeBurst::Verdict verdict = keep_all) {
    write_file(folder.file("in.pcap"), bytes);
    ReplayRequest request;
    request.capture = folder.file("in.pcap");
    request.chain = fake_chain(kReplayLayout, std::move(verdict));
    request.write = folder.file("out.pcap");
    return request;
  }
  // The error's text, with the folder's name taken out.
  std::string error(const ReplayRequest& request) {
    auto stats = replay(request);
    if (stats) return "no error";
    std::string text = stats.error().text;
    for (size_t at; (at = text.find(folder.file(""))) != std::string::npos;)
      text.erase(at, folder.file("").size());
    return text;
  }
  TemporaryFolder folder;
};

TEST_F(Replay, ThatKeepsAllWritesTheSameFile) {
  const std::string bytes = numbered_capture(100);
  auto stats = replay(request(bytes));
  ASSERT_TRUE(stats) << stats.error().text;
  EXPECT_EQ(stats->packets, 100u);
  EXPECT_EQ(stats->passed, 100u);
  EXPECT_EQ(stats->dropped, 0u);
  EXPECT_EQ(read_file(folder.file("out.pcap")), bytes);
}

TEST_F(Replay, WritesWhatPassesInOrderAndCountsTheRest) {
  auto stats = replay(request(numbered_capture(100), [](const bpf::PacketContext& ctx) -> uint32_t {
    return ctx.data[ctx.captured - 1] % 3 == 0 ? UINT32_MAX : 0;
  }));
  ASSERT_TRUE(stats) << stats.error().text;
  EXPECT_EQ(stats->passed, 34u);
  EXPECT_EQ(stats->dropped, 66u);
  ASSERT_EQ(stats->programs.size(), 1u);
  EXPECT_EQ(stats->programs[0].counters.run, 100u);
  PcapBytes expected;
  expected.header();
  for (uint32_t i = 0; i < 100; i += 3)
    expected.record(1000 + i, i, frame(60 + i, static_cast<char>(i)));
  EXPECT_EQ(read_file(folder.file("out.pcap")), expected.bytes);
}

TEST_F(Replay, WritesPacketsThatProgramsMadeLongerAndSentToAPort) {
  PcapBytes capture;
  capture.header();
  for (char i = 1; i <= 3; i++) capture.record(7, static_cast<uint32_t>(i), frame(60, i));
  auto wanted = request(capture.bytes);
  wanted.ports = 2;
  wanted.chain = fake_forwarder(kReplayLayout, [](bpf::PacketContext& ctx) {
    ctx.redirect_ifindex = ctx.data[59];  // 3: there is none
    ctx.data -= 2;
    ctx.captured += 2;
    ctx.len += 2;
    ctx.data[0] = ctx.data[1] = 'x';
    return bpf::Step::redirect;
  });
  auto stats = replay(wanted);
  ASSERT_TRUE(stats) << stats.error().text;
  EXPECT_EQ(stats->passed, 2u);
  EXPECT_EQ(stats->dropped, 1u);
  PcapBytes expected;
  expected.header();
  for (char i = 1; i <= 2; i++) expected.record(7, static_cast<uint32_t>(i), "xx" + frame(60, i));
  EXPECT_EQ(read_file(folder.file("out.pcap")), expected.bytes);
}

TEST_F(Replay, TrimsToTheVerdictAndKeepsTheWireLength) {
  PcapBytes capture;
  capture.header();
  capture.record(7, 8, frame(60, 1), 1500);
  auto stats = replay(request(capture.bytes, [](const bpf::PacketContext&) { return 20u; }));
  ASSERT_TRUE(stats) << stats.error().text;
  EXPECT_EQ(stats->trimmed, 1u);
  EXPECT_EQ(stats->bytes, 1500u);
  PcapBytes expected;
  expected.header();
  expected.record(7, 8, frame(60, 1).substr(0, 20), 1500);
  EXPECT_EQ(read_file(folder.file("out.pcap")), expected.bytes);
}

TEST_F(Replay, ShowsProgramsTheWireLengthAndTheCapturedBytes) {
  PcapBytes capture;
  capture.header();
  capture.record(7, 8, frame(60, 1), 1500);
  auto stats = replay(request(capture.bytes, [](const bpf::PacketContext& ctx) {
    EXPECT_EQ(ctx.len, 1500u);
    EXPECT_EQ(ctx.captured, 60u);
    EXPECT_EQ(ctx.hash, 0u);
    EXPECT_EQ(ctx.env->ifindex, 1u);
    return 1u;
  }));
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->passed, 1u);
}

TEST_F(Replay, KeepsRecordsWithoutAByteWhenTheyPass) {
  PcapBytes capture;
  capture.header();
  capture.record(1, 1, "", 60);
  capture.record(1, 2, frame(60, 1));
  capture.record(1, 3, "", 60);
  auto stats = replay(request(capture.bytes));
  ASSERT_TRUE(stats) << stats.error().text;
  EXPECT_EQ(stats->passed, 3u);
  EXPECT_EQ(read_file(folder.file("out.pcap")), capture.bytes);
  stats =
      replay(request(capture.bytes, [](const bpf::PacketContext& ctx) { return ctx.captured; }));
  ASSERT_TRUE(stats) << stats.error().text;
  EXPECT_EQ(stats->passed, 1u);
  EXPECT_EQ(stats->dropped, 2u);
}

TEST_F(Replay, TakesTheLongestRecordThatLibpcapReads) {
  PcapBytes capture;
  capture.header();
  for (char i = 0; i < 40; i++) capture.record(1, 1, frame(262144, i));
  auto stats = replay(request(capture.bytes));
  ASSERT_TRUE(stats) << stats.error().text;
  EXPECT_EQ(stats->captured_bytes, 40u * 262144);
  EXPECT_TRUE(read_file(folder.file("out.pcap")) == capture.bytes);
}

TEST_F(Replay, ReadsBothByteOrdersAndKeepsTheResolution) {
  for (const bool big_endian : {false, true}) {
    for (const uint32_t magic : {0xa1b2c3d4u, 0xa1b23c4du}) {
      PcapBytes in{big_endian, ""};
      in.header(magic);
      in.record(5, 123456, frame(60, 1));
      PcapBytes expected;
      expected.header(magic);
      expected.record(5, 123456, frame(60, 1));
      auto stats = replay(request(in.bytes));
      ASSERT_TRUE(stats) << stats.error().text;
      EXPECT_EQ(read_file(folder.file("out.pcap")), expected.bytes)
          << big_endian << " " << std::hex << magic;
    }
  }
}

std::string pcapng(uint8_t resolution, uint16_t link_type) {
  PcapBytes block;
  for (const uint32_t word :
       {0x0a0d0d0au, 28u, 0x1a2b3c4du, 0x00000001u, 0xffffffffu, 0xffffffffu, 28u}) {
    block.u32(word);
  }
  block.u32(1);
  block.u32(32);
  block.u16(link_type);
  block.u16(0);
  block.u32(262144);
  block.u16(9);
  block.u16(1);
  block.u32(resolution);
  block.u32(0);
  block.u32(32);
  for (const uint32_t word : {6u, 92u, 0u, 0u, 1'000'001u, 60u, 60u}) block.u32(word);
  block.bytes += frame(60, 1);
  block.u32(92);
  return block.bytes;
}

TEST_F(Replay, ReadsPcapngInItsOwnResolution) {
  auto stats = replay(request(pcapng(6, 1)));
  ASSERT_TRUE(stats) << stats.error().text;
  PcapBytes micro;
  micro.header();
  micro.record(1, 1, frame(60, 1));
  EXPECT_EQ(read_file(folder.file("out.pcap")), micro.bytes);
  stats = replay(request(pcapng(9, 1)));
  ASSERT_TRUE(stats) << stats.error().text;
  PcapBytes nano;
  nano.header(0xa1b23c4d);
  nano.record(0, 1'000'001, frame(60, 1));
  EXPECT_EQ(read_file(folder.file("out.pcap")), nano.bytes);
}

TEST_F(Replay, RefusesOtherLinkTypesByName) {
  PcapBytes capture;
  capture.header(0xa1b2c3d4, 101);
  capture.record(1, 1, frame(60, 1));
  EXPECT_EQ(error(request(capture.bytes)),
            "capture in.pcap: link type RAW (101): only Ethernet captures are replayed");
  EXPECT_EQ(error(request(pcapng(6, 113))),
            "capture in.pcap: link type LINUX_SLL (113): only Ethernet captures are replayed");
  EXPECT_EQ(folder.count(), 1u);
}

TEST_F(Replay, OfATruncatedCaptureNamesThePacketAndWritesNothing) {
  const std::string bytes = numbered_capture(100);
  const std::string text = error(request(bytes.substr(0, bytes.size() - 5)));
  EXPECT_EQ(text.find("capture in.pcap: packet 100: truncated dump file"), 0u) << text;
  EXPECT_EQ(folder.count(), 1u) << "in.pcap alone";
}

TEST_F(Replay, OfATruncatedCaptureLeavesAnOlderOutputAlone) {
  const std::string bytes = numbered_capture(3);
  write_file(folder.file("out.pcap"), "older");
  EXPECT_NE(error(request(bytes.substr(0, bytes.size() - 5))), "no error");
  EXPECT_EQ(read_file(folder.file("out.pcap")), "older");
}

TEST_F(Replay, OfAnAbsurdRecordLengthNamesThePacket) {
  PcapBytes capture;
  capture.header();
  capture.record(1, 1, frame(60, 1));
  for (const uint32_t word : {1u, 1u, 0x7fffffffu, 60u}) capture.u32(word);
  capture.bytes += frame(60, 2);
  const std::string text = error(request(capture.bytes));
  EXPECT_EQ(text.find("capture in.pcap: packet 2: "), 0u) << text;
  EXPECT_EQ(folder.count(), 1u);
}

TEST_F(Replay, OfWhatIsNoCaptureSaysSo) {
  EXPECT_EQ(error(request("")), "capture in.pcap: empty file");
  EXPECT_EQ(
      error(request("hello, world, this is text\n")).find("capture in.pcap: unknown file format"),
      0u);
  ReplayRequest missing = request("");
  missing.capture = folder.file("missing.pcap");
  EXPECT_EQ(error(missing), "capture missing.pcap: No such file or directory");
  missing.capture = folder.file("");
  EXPECT_NE(error(missing).find("Is a directory"), std::string::npos);
}

TEST_F(Replay, OfACaptureWithoutPacketsWritesOneWithoutPackets) {
  PcapBytes capture;
  capture.header();
  auto stats = replay(request(capture.bytes));
  ASSERT_TRUE(stats) << stats.error().text;
  EXPECT_EQ(stats->packets, 0u);
  EXPECT_EQ(read_file(folder.file("out.pcap")), capture.bytes);
}

TEST_F(Replay, MayWriteOverItsOwnInput) {
  ReplayRequest same = request(numbered_capture(100), [](const bpf::PacketContext& ctx) {
    return ctx.len < 100 ? 0u : 1000u;
  });
  same.write = same.capture;
  auto stats = replay(same);
  ASSERT_TRUE(stats) << stats.error().text;
  EXPECT_EQ(stats->passed, 60u);
  EXPECT_EQ(replay(same)->packets, 60u);
}

TEST_F(Replay, WritesThroughWhatIsNoRegularFile) {
  ReplayRequest null = request(numbered_capture(10));
  null.write = "/dev/null";
  EXPECT_TRUE(replay(null));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  null.write = "/dev/full";
  EXPECT_EQ(error(null), "write /dev/full: No space left on device");
  null.write = folder.file("no/such/out.pcap");
  EXPECT_EQ(error(null), "write no/such/out.pcap: No such file or directory");
}

TEST_F(Replay, LoopsAddUp) {
  ReplayRequest loop = request(numbered_capture(40));
  loop.loops = 3;
  loop.expect = loop.capture;
  auto stats = replay(loop);
  ASSERT_TRUE(stats) << stats.error().text;
  EXPECT_EQ(stats->packets, 120u);
  EXPECT_FALSE(stats->difference) << *stats->difference;
  EXPECT_EQ(read_file(folder.file("out.pcap")).size() - 24,
            3 * (read_file(folder.file("in.pcap")).size() - 24));
}

TEST_F(Replay, StopsWhereTheCaptureIsShortAndTheRoundsAreMany) {
  std::atomic<bool> stop{true};
  ReplayRequest loop = request(numbered_capture(10));
  loop.loops = UINT32_MAX;
  loop.stop = &stop;
  EXPECT_EQ(error(loop), "capture in.pcap: stopped after packet 320");
}

TEST_F(Replay, EndsWithTheFirstFailedWriteHoweverManyRoundsFollow) {
  ReplayRequest loop = request(numbered_capture(10));
  loop.loops = UINT32_MAX;
  loop.write = "/dev/full";
  EXPECT_EQ(error(loop), "write /dev/full: No space left on device");
}

TEST_F(Replay, ExpectShowsTheFirstDifference) {
  ReplayRequest expect = request(numbered_capture(40));
  expect.expect = folder.file("expected.pcap");
  PcapBytes expected;
  auto difference = [&] {
    write_file(*expect.expect, expected.bytes);
    auto stats = replay(expect);
    std::string text = stats ? stats->difference.value_or("none") : stats.error().text;
    if (const size_t at = text.find(folder.file("")); at != std::string::npos)
      text.erase(at, folder.file("").size());
    return text;
  };
  expected.bytes = numbered_capture(40);
  EXPECT_EQ(difference(), "none");
  expected.bytes = numbered_capture(39);
  EXPECT_EQ(difference(), "packet 40 that passed is not in expected.pcap, which ends after 39");
  expected.bytes = numbered_capture(42);
  EXPECT_EQ(difference(), "expected.pcap has 2 more than the 40 that passed");
  expected.bytes = numbered_capture(40);
  expected.bytes[24 + 16 + 17] = '\x2a';
  EXPECT_EQ(difference(), "packet 1 that passed: byte 17 is 11, expected 2a");
  expected.bytes = "";
  expected.header();
  expected.record(1000, 0, frame(60, 0), 61);
  EXPECT_EQ(difference(), "packet 1 that passed: length on the wire is 60, expected 61");
  expected.bytes = numbered_capture(2).substr(0, 50);
  EXPECT_EQ(difference().find("expect: capture expected.pcap: packet 1: truncated"), 0u)
      << difference();
}

TEST_F(Replay, EndsWhenToldTo) {
  const std::atomic<bool> stop = true;
  ReplayRequest stopped = request(numbered_capture(5000));
  stopped.stop = &stop;
  auto stats = replay(stopped);
  ASSERT_FALSE(stats);
  EXPECT_EQ(stats.error().code, ECANCELED);
  EXPECT_EQ(folder.count(), 1u);
}

TEST_F(Replay, OfTheSharedCapturesWritesTheSameRecords) {
  const char* folder_name = std::getenv("SLUICE_SHARED_PCAPS");
  if (folder_name == nullptr || !std::filesystem::is_directory(folder_name)) {
    GTEST_SKIP() << "SLUICE_SHARED_PCAPS names no folder of captures";
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder_name)) {
    if (entry.path().extension() != ".pcap") continue;
    ReplayRequest all = request("");
    all.capture = entry.path();
    all.expect = entry.path();
    auto stats = replay(all);
    if (!stats && stats.error().code == EPROTONOSUPPORT) continue;  // not Ethernet
    ASSERT_TRUE(stats) << stats.error().text;
    EXPECT_FALSE(stats->difference) << entry.path() << *stats->difference;
    EXPECT_GT(stats->packets, 0u) << entry.path();
  }
}

}  // namespace
}  // namespace sluice::dataplane
