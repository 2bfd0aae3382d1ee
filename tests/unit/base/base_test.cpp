#include <fcntl.h>
#include <gtest/gtest.h>

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/careful_copy.hpp"
#include "base/file_mappings.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace sluice {
namespace {

TEST(Error, ContextIsAddedInFront) {
  EXPECT_EQ(Error({EINVAL, "value_size 0"}).in("create").in("map flows").text,
            "map flows: create: value_size 0");
}

TEST(Error, AnErrnoIsSpelledOut) {
  const Error error = errno_error(ENOENT, "open x.pcap");
  EXPECT_EQ(error.code, ENOENT);
  EXPECT_EQ(error.text, "open x.pcap: No such file or directory");
}

TEST(CarefulCopy, EndsWhereTheMemoryDoes) {
  auto* pages = static_cast<char*>(
      ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(pages, MAP_FAILED);
  std::memset(pages, 'a', 8192);
  ASSERT_EQ(::mprotect(pages + 4096, 4096, PROT_NONE), 0);
  char out[64] = {};
  const auto at = reinterpret_cast<uint64_t>(pages) + 4096;
  EXPECT_EQ(read_carefully(out, at - 64, 64), 64u);
  EXPECT_EQ(read_carefully(out, at - 10, 64), 10u);
  EXPECT_EQ(std::string(out, 11), "aaaaaaaaaaa");
  for (const uint64_t nowhere :
       {uint64_t{0}, uint64_t{8}, at, uint64_t{1} << 47, uint64_t{1} << 63, ~uint64_t{0}}) {
    EXPECT_EQ(read_carefully(out, nowhere, 64), 0u) << nowhere;
  }
  EXPECT_EQ(read_carefully(out, at, 0), 0u);
  EXPECT_EQ(write_carefully(at - 64, "b", 1), 1u);
  EXPECT_EQ(pages[4096 - 64], 'b');
  EXPECT_EQ(write_carefully(at - 4, out, 64), 4u);
  EXPECT_EQ(write_carefully(0, out, 4), 0u);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] {
      char own[64];
      for (uint64_t size = 0; size < 1000; size++)
        wrong += read_carefully(own, at - size % 64, 64) != size % 64;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  ::munmap(pages, 8192);
}

TEST(CarefulCopy, OtherFaultsKillAsEver) {
  void* page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_DEATH(std::memset(page, 1, 8), "");
  EXPECT_DEATH(::raise(SIGSEGV), "");
  ::munmap(page, 4096);
}

TEST(FileMappings, AWritableOneIsSeenUnlessItIsOurOwn) {
  const UniqueFd file(::memfd_create("mapped", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), 8192), 0);
  EXPECT_FALSE(is_mapped_for_writing(file.get(), nullptr, 0));
  void* reading = ::mmap(nullptr, 8192, PROT_READ, MAP_SHARED, file.get(), 0);
  void* own_copy = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.get(), 0);
  EXPECT_FALSE(is_mapped_for_writing(file.get(), nullptr, 0));
  void* writing = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  EXPECT_TRUE(is_mapped_for_writing(file.get(), nullptr, 0));
  EXPECT_FALSE(is_mapped_for_writing(file.get(), writing, 8192));
  for (void* mapping : {reading, own_copy, writing}) ::munmap(mapping, 8192);
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
