// bpf's format rules. The answers are Linux 6.18's (bpf_snprintf in a sched_cls program, buffer of
// 64 bytes).
#include "bpf/helpers/text.hpp"

#include <gtest/gtest.h>

#include <sys/mman.h>

#include <cerrno>
#include <vector>

#include "bpf/helpers/bodies.hpp"

namespace sluice::bpf {
namespace {

constexpr long kRefused = -EINVAL;

struct Case {
  const char* format;
  std::vector<uint64_t> arguments;
  const char* text;
  long length;  // with the terminating zero, or kRefused
};

const Case kCases[] = {
    {"%d %u %x", {static_cast<uint64_t>(-5), 0x1ffffffff, 255}, "-5 4294967295 ff", 17},
    {"%lld %llu %lx",
     {1ull << 63, ~0ull, 1ull << 40},
     "-9223372036854775808 18446744073709551615 10000000000",
     54},
    {"[%5d|%-5d|%05d|%+d|% d]", {42, 42, 42, 42, 42}, "[   42|42   |00042|+42| 42]", 28},
    {"[%5u|%-8x|%08X|%08lx]",
     {42, 0xbeef, 0xbeef, 0xbeef},
     "[   42|beef    |0000BEEF|0000beef]",
     35},
    {"[%-05d|%+-6d|%+06d|%0d]", {42, 42, 42, 7}, "[42   |+42   |+00042|7]", 24},
    {"[%c|%3c|%-3c|]", {65, 66, 67}, "[A|  B|C  |]", 13},
    {"100%% %i", {7}, "100% 7", 7},
    {"%%%d%%", {3}, "%3%", 4},
    {"%px", {0x1234}, "0000000000001234", 17},
    {"[%20px|%-20px|%020px]",
     {0x1234, 0x1234, 0x1234},
     "[                1234|1234                |00000000000000001234",
     65},
    {"%d", {}, "", kRefused},
    {"%n", {1}, "", kRefused},
    {"%", {1}, "", kRefused},
    {"%5", {1}, "", kRefused},
    {"%.3d", {1}, "", kRefused},
    {"%#x", {1}, "", kRefused},
    {"%hd", {1}, "", kRefused},
    {"%llld", {1}, "", kRefused},
    {"%5%", {1}, "", kRefused},
    {"%p1", {1}, "", kRefused},
    {"%pz", {1}, "", kRefused},
    {"%pI5", {0}, "", kRefused},
    {"%lc", {65}, "", kRefused},
    {"%sx", {0}, "", kRefused},
    {"%pS|%psx,|%pB", {7, 7, 7}, "0x7|0x7,|0x7", 13},
    {"[%20pS]", {7}, "[                 0x7]", 23},
    {"a\x80", {}, "a\x80", 3},
    {"%zu", {1}, "", kRefused},
    {"%o", {8}, "", kRefused},
    {"\x01%d", {1}, "", kRefused},
    {"%s", {0}, "", 1},
    {"%s,%d", {0, 3}, ",3", 3},
    {"%10s|", {0}, "          |", 12},
    {"%pks|%pus", {0, 0}, "|", 2},
    {"%d %d", {1, 2}, "1 2", 4},
    {"%pK", {0}, "0000000000000000", 17},
    {"%pxx", {1}, "0000000000000001", 17},
    {"%ld%%x", {5}, "5%x", 4},
    {"%pi4", {0}, "000.000.000.000", 16},
    {"%pI4", {0}, "0.0.0.0", 8},
    {"%pI6", {0}, "0000:0000:0000:0000:0000:0000:0000:0000", 40},
    {"tab\t%d\n", {1}, "tab\t1\n", 7},
    {"%cx", {65}, "Ax", 3},
    {"%x%x", {10, 11}, "ab", 3},
    {"%lu %lX", {1ull << 33, 0xabcdef0123}, "8589934592 ABCDEF0123", 22},
};

long print(char* out, uint64_t room, const char* format, const std::vector<uint64_t>& arguments) {
  const auto address = [](const void* pointer) { return reinterpret_cast<uint64_t>(pointer); };
  return static_cast<long>(sluice_helper_snprintf(nullptr, address(out), room, address(format),
                                                  address(arguments.data()), arguments.size() * 8));
}

// What is printed may be changed by others while it is read: its last byte too.
TEST(Text, AFormatEndsWithItsMemory) {
  char out[16];
  const uint64_t nothing[kMaxFormatArguments] = {};
  EXPECT_EQ(format_text(out, sizeof out, {"abcdef", 3}, nothing, 0), 3);
  EXPECT_STREQ(out, "abc");
  for (const std::string_view cut : {"%", "%l", "%0", "%12", "%pI"}) {
    EXPECT_EQ(format_text(out, sizeof out, cut, nothing, 1), kRefused) << cut;
  }
}

TEST(Snprintf, AnswersAsLinuxDoes) {
  for (const Case& each : kCases) {
    SCOPED_TRACE(each.format);
    char out[64] = {};
    EXPECT_EQ(print(out, sizeof out, each.format, each.arguments), each.length);
    if (each.length == kRefused) continue;
    EXPECT_STREQ(out, each.text);
  }
}

TEST(Snprintf, CutsAndTerminatesWhatDoesNotFit) {
  char out[8] = "xxxxxxx";
  EXPECT_EQ(print(out, 4, "%d", {123456}), 7);
  EXPECT_STREQ(out, "123");
  EXPECT_EQ(out[4], 'x');
  EXPECT_EQ(print(out, 0, "%d", {5}), 2);
  EXPECT_STREQ(out, "123");
}

TEST(Snprintf, RefusesDataThatIsNoArrayOfWords) {
  char out[8];
  const auto address = [](const void* pointer) { return reinterpret_cast<uint64_t>(pointer); };
  const uint64_t data[13] = {};
  for (const uint64_t size : {4ull, 9ull, 13 * 8ull}) {
    EXPECT_EQ(static_cast<long>(sluice_helper_snprintf(nullptr, address(out), 8, address("x"),
                                                       address(data), size)),
              kRefused);
  }
  EXPECT_EQ(static_cast<long>(sluice_helper_snprintf(nullptr, address(out), 8, address("x"), 0, 8)),
            kRefused);
}

TEST(Snprintf, ReadsTextAndAddressesFromMemory) {
  const char* text = "hello";
  const uint8_t ip[16] = {0x20, 0x01, 0x0d, 0xb8, 192, 168, 0, 7};
  const auto at = [](const void* pointer) { return reinterpret_cast<uint64_t>(pointer); };
  char out[64];
  EXPECT_EQ(print(out, sizeof out, "%s|%8s|%pI4|%pI6", {at(text), at(text), at(ip + 4), at(ip)}),
            67);
  EXPECT_STREQ(out, "hello|   hello|192.168.0.7|2001:0db8:c0a8:0007:0000:0000:0000:0");
}

// The string ends where its page does, and the page behind cannot be read.
TEST(Snprintf, ReadsNothingBeyondAStringsEnd) {
  auto* pages = static_cast<char*>(
      mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(pages, MAP_FAILED);
  ASSERT_EQ(mprotect(pages + 4096, 4096, PROT_NONE), 0);
  __builtin_memcpy(pages + 4092, "end", 4);
  char out[64];
  EXPECT_EQ(print(out, sizeof out, "%s", {reinterpret_cast<uint64_t>(pages + 4092)}), 4);
  EXPECT_STREQ(out, "end");
  __builtin_memcpy(pages + 4092, "open", 4);
  EXPECT_EQ(print(out, sizeof out, "%s", {reinterpret_cast<uint64_t>(pages + 4092)}), 1);
  munmap(pages, 8192);
}

}  // namespace
}  // namespace sluice::bpf
