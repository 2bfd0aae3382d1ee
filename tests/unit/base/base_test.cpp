#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sluice {
namespace {

TEST(Error, ContextIsAddedInFront) {
  EXPECT_EQ(Error({EINVAL, "value_size 0"}).in("create").in("map flows").text, "map flows: create: value_size 0");
}

TEST(Error, AnErrnoIsSpelledOut) {
  const Error error = errno_error(ENOENT, "open x.pcap");
  EXPECT_EQ(error.code, ENOENT);
  EXPECT_EQ(error.text, "open x.pcap: No such file or directory");
}

TEST(UniqueFd, ClosesOnceAndMoves) {
  UniqueFd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int number = first.get();
  ASSERT_GE(number, 0);
  {
    UniqueFd second(std::move(first));
    EXPECT_FALSE(first);  // NOLINT: moved-from is empty by contract
    EXPECT_EQ(second.get(), number);
  }
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

}  // namespace
}  // namespace sluice
