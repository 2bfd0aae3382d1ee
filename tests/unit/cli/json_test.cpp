#include <gtest/gtest.h>

#include "cli/tool/daemon_text.hpp"
#include "cli/tool/json_writer.hpp"

namespace sluice::cli {
namespace {

// What `write` puts on a stream.
template <class Write>
std::string written(bool pretty, Write&& write) {
  char* text = nullptr;
  size_t size = 0;
  std::FILE* stream = ::open_memstream(&text, &size);
  JsonWriter out(stream, pretty);
  write(out);
  std::fclose(stream);
  std::string made(text, size);
  std::free(text);
  return made;
}

void sample(JsonWriter& out) {
  out.begin_array();
  out.begin_object();
  out.member("id", 7u);
  out.key("list");
  out.begin_array();
  out.string("a\"\n");
  out.number(2);
  out.end_array();
  out.key("none");
  out.begin_array();
  out.end_array();
  out.end_object();
  out.begin_object();
  out.end_object();
  out.end_array();
}

TEST(JsonWriter, CompactJsonIsOneLine) {
  EXPECT_EQ(written(false, sample), "[{\"id\":7,\"list\":[\"a\\\"\\n\",2],\"none\":[]},{}]\n");
}

TEST(JsonWriter, PrettyJsonIsLaidOutAsBpftoolDoes) {
  EXPECT_EQ(written(true, sample),
            "[{\n        \"id\": 7,\n        \"list\": [\"a\\\"\\n\",2\n        ],\n        "
            "\"none\": []\n    },{}\n]\n");
}

TEST(JsonWriter, WhatAnErrorCutsShortIsClosed) {
  EXPECT_EQ(written(false,
                    [](JsonWriter& out) {
                      out.begin_object();
                      out.key("a");
                      out.begin_array();
                      out.begin_object();
                      out.key("b");
                      out.close_to(0);
                    }),
            "{\"a\":[{\"b\":null}]}\n");
}

TEST(Json, ADaemonsAnswerIsReadAndWrittenUnchanged) {
  const std::string text =
      "{\"name\":\"7\",\"count\":7,\"up\":true,\"list\":[1,{\"x\":null}],\"text\":\"a: b\\n\"}";
  const auto json = Json::parse(text);
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["name"].text(), "7");
  EXPECT_EQ((*json)["count"].count(), 7u);
  EXPECT_EQ((*json)["absent"]["deeper"].text(), "");
  EXPECT_EQ((*json)["text"].text(), "a: b\n");
  EXPECT_EQ(written(false, [&](JsonWriter& out) { json->write(out); }), text + "\n");
}

TEST(Json, WhatIsNoJsonIsAnError) { EXPECT_FALSE(Json::parse("{\"a\": [")); }

}  // namespace
}  // namespace sluice::cli
