#include "cli/tool/words.hpp"

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

Words words(std::initializer_list<std::string> list) {
  return Words(std::vector<std::string>(list));
}

struct BytesCase {
  std::vector<std::string> words;
  size_t size;
  std::vector<uint8_t> bytes;  // empty: refused
  std::string error;
};

TEST(Words, APathIsNotEmpty) {
  Words line = words({"out", ""});
  EXPECT_EQ(line.take_path("file").value_or("none"), "out");
  const auto empty = line.take_path("file");
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().text, "file is empty");
  EXPECT_EQ(line.take_path("file").error().text, "file is missing");
}

TEST(Words, BytesAreReadAsCWritesThemOrInHexadecimal) {
  const BytesCase cases[] = {
      {{"1", "2"}, 2, {1, 2}, ""},
      {{"0x10", "010", "10", "255"}, 4, {16, 8, 10, 255}, ""},
      {{"hex", "ff", "0x10", "a"}, 3, {255, 16, 10}, ""},
      {{"1", "2", "value"}, 2, {1, 2}, ""},
      {{"1"}, 2, {}, "key expected 2 bytes, got 1"},
      {{"1", "value", "2"}, 2, {}, "key expected 2 bytes, got 1 before \"value\""},
      {{}, 1, {}, "key expected 1 bytes, got 0"},
      {{"x"}, 1, {}, "key: \"x\" is not a byte"},
      {{"256"}, 1, {}, "key: 256 does not fit a byte"},
      {{"-1"}, 1, {}, "key: \"-1\" is not a byte"},
      {{"08"}, 1, {}, "key: \"08\" is not a byte"},
      {{"hex", "0x"}, 1, {}, "key: \"0x\" is not a byte"},
      {{"99999999999999999999"}, 1, {}, "key: \"99999999999999999999\" is not a byte"},
  };
  for (const auto& one : cases) {
    Words line(one.words);
    const auto bytes = line.take_bytes("key", one.size);
    if (one.error.empty()) {
      ASSERT_TRUE(bytes) << bytes.error().text;
      EXPECT_EQ(*bytes, one.bytes);
    } else {
      ASSERT_FALSE(bytes);
      EXPECT_EQ(bytes.error().text, one.error);
      EXPECT_EQ(bytes.error().code, kUsageCode);
    }
  }
}

TEST(Words, KeywordsMayBeCutShortButNotToNothing) {
  auto line = words({"pin", "x"});
  EXPECT_FALSE(line.accept("name"));
  EXPECT_TRUE(line.accept("pinned"));
  EXPECT_FALSE(line.done());
  EXPECT_EQ(line.done().error().text, "what is \"x\"?");
  EXPECT_TRUE(line.take("a word"));
  EXPECT_TRUE(line.done());
  EXPECT_FALSE(line.accept("pinned"));
  EXPECT_EQ(line.take("a word").error().text, "a word is missing");
}

TEST(Words, NumbersHaveBounds) {
  auto line = words({"4294967295", "4294967296", "0x1f", "1k"});
  EXPECT_EQ(*line.take_number("id"), 4294967295u);
  EXPECT_EQ(line.take_number("id").error().text, "id: 4294967296 is more than 4294967295");
  EXPECT_EQ(*line.take_number("id"), 31u);
  EXPECT_EQ(line.take_number("id").error().text, "id: \"1k\" is not a number");
}

TEST(Batch, LinesAreSplitAtBlanksOutsideQuotes) {
  const auto commands = split_commands(
      "# nothing\n\n map  show\tname 'a b' # the rest\nprog show \\\n name x\\\n\"\" ''\n");
  ASSERT_TRUE(commands);
  ASSERT_EQ(commands->size(), 2u);
  EXPECT_EQ((*commands)[0].line, 3u);
  EXPECT_EQ((*commands)[0].words, (std::vector<std::string>{"map", "show", "name", "a b"}));
  EXPECT_EQ((*commands)[1].line, 4u);
  EXPECT_EQ((*commands)[1].words, (std::vector<std::string>{"prog", "show", "name", "x", "", ""}));
}

TEST(Batch, AQuoteThatDoesNotEndIsAnErrorOfItsLine) {
  const auto commands = split_commands("map show\nmap show 'x\n");
  ASSERT_FALSE(commands);
  EXPECT_EQ(commands.error().text, "line 2: a quote ' that does not end");
}

}  // namespace
}  // namespace sluice::cli
