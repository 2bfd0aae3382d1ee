#include "control/report.hpp"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

TEST(Report, ATableAlignsItsColumns) {
  EXPECT_EQ(format_table({{"", "run"}, {"web", "7"}, {"count", "1234"}}),
            "          run\n  web       7\n  count  1234\n");
}

TEST(Report, JsonEscapesQuotesBackslashesAndControlCharacters) {
  EXPECT_EQ(json_string("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
}

TEST(Report, AnEmptyReplayHasNoRate) {
  const std::string text = format_replay({}, {});
  EXPECT_NE(text.find("packets  0\n"), std::string::npos);
  EXPECT_EQ(text.find("Mpps"), std::string::npos);
}

TEST(Report, AReplaysTablesHoldItsNumbers) {
  dataplane::ReplayStats stats;
  stats.packets = 1000;
  stats.passed = 600;
  stats.dropped = 400;
  stats.seconds = 0.0001;
  stats.programs.push_back({"web", {1000, 600, 2}});
  const std::string text = format_replay(stats, {});
  EXPECT_NE(text.find("10.000 Mpps"), std::string::npos);
  EXPECT_NE(text.find("100.0 ns"), std::string::npos);
  EXPECT_NE(text.find("  web  1000     600      400        2          0           0\n"),
            std::string::npos)
      << text;
  const std::string json = format_replay_json(stats, {});
  EXPECT_NE(
      json.find(
          "{\"name\": \"web\", \"run\": 1000, \"passed\": 600, \"dropped\": 400, \"trimmed\": 2, "
          "\"transmitted\": 0, \"redirected\": 0}"),
      std::string::npos)
      << json;
}

}  // namespace
}  // namespace sluice::control
