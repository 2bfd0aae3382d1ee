// Rates of two samples of the daemon's counters.
#include "cli/tool/samples.hpp"

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

Sample make_sample(double seconds, const std::string& ports, const std::string& workers,
                   const std::string& chains) {
  return {seconds, Json::parse(ports).value(), Json::parse(workers).value(),
          Json::parse(chains).value()};
}

std::string chain(const std::string& port, double seconds, const std::string& programs) {
  return R"({"port": ")" + port + R"(", "run_seconds": )" + std::to_string(seconds) +
         R"(, "programs": [)" + programs + "]}";
}
std::string program(const std::string& name, int run, int passed) {
  return R"({"name": ")" + name + R"(", "run": )" + std::to_string(run) + R"(, "passed": )" +
         std::to_string(passed) + R"(, "trimmed": 0})";
}

TEST(Samples, ProgramsAreCountedPerSecondAndTheChainPerPacket) {
  const auto before =
      make_sample(10, "[]", "[]",
                  "[" + chain("a", 1, program("x", 100, 50) + "," + program("y", 50, 50)) + "]");
  const auto after = make_sample(
      12, "[]", "[]",
      "[" + chain("a", 1.5, program("x", 300, 100) + "," + program("y", 100, 60)) + "]");
  const auto rates = program_rates(before, after);
  ASSERT_EQ(rates.size(), 2u);
  EXPECT_EQ(rates[0].program, "x");
  EXPECT_DOUBLE_EQ(rates[0].run, 100);
  EXPECT_DOUBLE_EQ(rates[0].passed, 25);
  EXPECT_DOUBLE_EQ(rates[0].dropped, 75);
  EXPECT_DOUBLE_EQ(rates[0].chain_cpu, 0.25);
  EXPECT_DOUBLE_EQ(rates[0].chain_nanoseconds, 2.5e6);
  EXPECT_DOUBLE_EQ(rates[1].dropped, 20);
}

TEST(Samples, ACounterThatWentBackBeganAnew) {
  const auto before =
      make_sample(0, "[]", "[]", "[" + chain("a", 9, program("x", 1000, 1000)) + "]");
  const auto after = make_sample(1, "[]", "[]", "[" + chain("a", 0.5, program("x", 10, 10)) + "]");
  const auto rates = program_rates(before, after);
  ASSERT_EQ(rates.size(), 1u);
  EXPECT_DOUBLE_EQ(rates[0].run, 10);
  EXPECT_DOUBLE_EQ(rates[0].chain_cpu, 0.5);
}

TEST(Samples, WhatWasNotThereBeforeCountsFromNought) {
  const auto before = make_sample(0, "[]", "[]", "[]");
  const auto after = make_sample(2, "[]", "[]", "[" + chain("b", 1, program("new", 8, 4)) + "]");
  EXPECT_DOUBLE_EQ(program_rates(before, after).at(0).run, 4);
  EXPECT_TRUE(program_rates(after, before).empty());
}

TEST(Samples, APortDropsWhatItsQueuesDrop) {
  const auto ports = [](int packets, int verdict, int full) {
    return R"([{"name": "p", "rx_packets": )" + std::to_string(packets) + R"(, "rx_bytes": )" +
           std::to_string(packets * 100) +
           R"(, "tx_packets": 0, "tx_bytes": 0, "rx_missed": 0, "rx_no_buffer": 0, )" +
           R"("queues": [{"dropped_verdict": )" +
           std::to_string(verdict) + R"(}, {"dropped_tx_full": )" + std::to_string(full) + "}]}]";
  };
  const auto rates = port_rates(make_sample(0, ports(0, 0, 0), "[]", "[]"),
                                make_sample(2, ports(100, 6, 4), "[]", "[]"));
  ASSERT_EQ(rates.size(), 1u);
  EXPECT_DOUBLE_EQ(rates[0].rx_packets, 50);
  EXPECT_DOUBLE_EQ(rates[0].rx_bits, 40000);
  EXPECT_DOUBLE_EQ(rates[0].dropped, 5);
}

}  // namespace
}  // namespace sluice::cli
