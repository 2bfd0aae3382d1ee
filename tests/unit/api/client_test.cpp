#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "tests/unit/api/api_fixture.hpp"

namespace sluice::control {
namespace {

bpf::Insn insn(int code, int dst = 0, int src = 0, int off = 0, int imm = 0) {
  return {static_cast<uint8_t>(code), static_cast<uint8_t>(dst), static_cast<uint8_t>(src),
          static_cast<int16_t>(off), imm};
}

long load(bpf::Client& client, const std::vector<bpf::Insn>& insns) {
  auto attr = empty_attr();
  attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attr.insns = address(insns.data());
  attr.insn_cnt = static_cast<uint32_t>(insns.size());
  attr.license = address("GPL");
  return client.bpf(BPF_PROG_LOAD, &attr, sizeof attr);
}

long test_run(bpf::Client& client, long program, uint32_t repeat, uint32_t* retval) {
  const std::vector<uint8_t> packet(64, 0);
  auto attr = empty_attr();
  attr.test.prog_fd = static_cast<uint32_t>(program);
  attr.test.data_in = address(packet.data());
  attr.test.data_size_in = static_cast<uint32_t>(packet.size());
  attr.test.repeat = repeat;
  const long result = client.bpf(BPF_PROG_TEST_RUN, &attr, sizeof attr);
  *retval = attr.test.retval;
  return result;
}

TEST_F(Api, AMapIsMadeFilledReadAndEmptiedOverTheSocket) {
  auto client = connect();
  const UniqueFd map(static_cast<int>(create_hash(*client)));
  ASSERT_TRUE(map);
  uint32_t key = 7;
  uint64_t value = 42, read = 0;
  EXPECT_EQ(element(*client, BPF_MAP_UPDATE_ELEM, map.get(), &key, &value), 0);
  EXPECT_EQ(element(*client, BPF_MAP_LOOKUP_ELEM, map.get(), &key, &read), 0);
  EXPECT_EQ(read, 42u);
  uint32_t next = 0;
  EXPECT_EQ(element(*client, BPF_MAP_GET_NEXT_KEY, map.get(), nullptr, &next), 0);
  EXPECT_EQ(next, 7u);
  EXPECT_EQ(element(*client, BPF_MAP_DELETE_ELEM, map.get(), &key, nullptr), 0);
  EXPECT_EQ(element(*client, BPF_MAP_LOOKUP_ELEM, map.get(), &key, &read), -ENOENT);
}

TEST_F(Api, ADescriptorWorksOnAnotherConnectionAndAsADuplicate) {
  auto client = connect();
  const UniqueFd map(static_cast<int>(create_hash(*client)));
  const UniqueFd copy(::dup(map.get()));
  auto other = connect();
  uint32_t key = 1;
  uint64_t value = 9, read = 0;
  EXPECT_EQ(element(*other, BPF_MAP_UPDATE_ELEM, copy.get(), &key, &value), 0);
  EXPECT_EQ(element(*client, BPF_MAP_LOOKUP_ELEM, map.get(), &key, &read), 0);
  EXPECT_EQ(read, 9u);
}

// Keys and values that no guess covers, at the end of a page with nothing behind it.
TEST_F(Api, LargeValuesAndValuesAtTheEndOfAMappingAreAskedFor) {
  auto client = connect();
  constexpr size_t kPage = 4096;
  auto* pages = static_cast<char*>(
      ::mmap(nullptr, 3 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(pages, MAP_FAILED);
  ASSERT_EQ(::mprotect(pages + 2 * kPage, kPage, PROT_NONE), 0);
  for (const uint32_t size : {1u, 8u, 300u, 4096u, 8000u}) {
    const UniqueFd map(static_cast<int>(create_hash(*client, 16, size)));
    ASSERT_TRUE(map);
    char* value = pages + 2 * kPage - size;
    for (uint32_t i = 0; i < size; i++) value[i] = static_cast<char>(i * 7 + 1);
    uint32_t key = 3;
    ASSERT_EQ(element(*client, BPF_MAP_UPDATE_ELEM, map.get(), &key, value), 0) << size;
    const std::vector<char> expected(value, value + size);
    std::memset(value, 0, size);
    ASSERT_EQ(element(*client, BPF_MAP_LOOKUP_ELEM, map.get(), &key, value), 0) << size;
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), value)) << size;
  }
  ::munmap(pages, 3 * kPage);
}

TEST_F(Api, ErrorsAreTheSystemCalls) {
  auto client = connect();
  const UniqueFd map(static_cast<int>(create_hash(*client)));
  uint32_t key = 1;
  uint64_t value = 1;
  auto attr = empty_attr();
  const auto* nowhere = reinterpret_cast<const void*>(uintptr_t{4096});
  EXPECT_EQ(client->bpf(9999, &attr, sizeof attr), -EINVAL);
  EXPECT_EQ(client->bpf(BPF_MAP_CREATE, nullptr, sizeof attr), -EFAULT);
  EXPECT_EQ(client->bpf(BPF_MAP_CREATE, &attr, 5000), -E2BIG);
  EXPECT_EQ(element(*client, BPF_MAP_LOOKUP_ELEM, 1000000, &key, &value), -EBADF);
  EXPECT_EQ(element(*client, BPF_MAP_LOOKUP_ELEM, 0xffffffff, &key, &value), -EBADF);
  EXPECT_EQ(element(*client, BPF_MAP_UPDATE_ELEM, map.get(), nowhere, &value), -EFAULT);
  EXPECT_EQ(element(*client, BPF_MAP_UPDATE_ELEM, map.get(), &key, nowhere), -EFAULT);
  EXPECT_EQ(element(*client, BPF_MAP_UPDATE_ELEM, map.get(), &key, &value), 0);
  EXPECT_EQ(element(*client, BPF_MAP_LOOKUP_ELEM, map.get(), &key, nowhere), -EFAULT);
  const UniqueFd stranger(::dup(0));
  EXPECT_EQ(element(*client, BPF_MAP_LOOKUP_ELEM, stranger.get(), &key, &value), -EINVAL);
}

TEST_F(Api, AProgramWithMapsLoadsAndRuns) {
  auto client = connect();
  const UniqueFd map(static_cast<int>(create_hash(*client)));
  const UniqueFd program(static_cast<int>(
      load(*client,
           {insn(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map.get()), insn(0),
            insn(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 17), insn(BPF_JMP | BPF_EXIT)})));
  ASSERT_TRUE(program);
  uint32_t retval = 0;
  EXPECT_EQ(test_run(*client, program.get(), 1, &retval), 0);
  EXPECT_EQ(retval, 17u);
}

TEST_F(Api, ARefusedProgramsLogReachesTheCaller) {
  auto client = connect();
  const std::vector<bpf::Insn> insns{insn(BPF_JMP | BPF_EXIT)};
  std::string log(65536, '\0');
  auto attr = empty_attr();
  attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attr.insns = address(insns.data());
  attr.insn_cnt = 1;
  attr.license = address("GPL");
  attr.log_level = 1;
  attr.log_buf = address(log.data());
  attr.log_size = static_cast<uint32_t>(log.size());
  EXPECT_LT(client->bpf(BPF_PROG_LOAD, &attr, sizeof attr), 0);
  EXPECT_NE(log.find("R0 !read_ok"), std::string::npos) << log.c_str();
}

TEST_F(Api, LookupsGoOnWhileAnotherClientsProgramRunsLong) {
  auto slow = connect();
  auto quick = connect();
  const UniqueFd map(static_cast<int>(create_hash(*quick)));
  const UniqueFd program(static_cast<int>(load(
      *slow, {insn(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1), insn(BPF_JMP | BPF_EXIT)})));
  std::atomic<bool> running{true};
  std::thread runner([&] {
    uint32_t retval = 0;
    EXPECT_EQ(test_run(*slow, program.get(), 10'000'000, &retval), 0);
    running = false;
  });
  int during = 0;
  uint32_t key = 1;
  uint64_t value = 1;
  while (running) {
    element(*quick, BPF_MAP_UPDATE_ELEM, map.get(), &key, &value);
    during += running ? 1 : 0;
  }
  runner.join();
  EXPECT_GT(during, 10);
}

// Hours of work, were it not for the client's end and then the daemon's.
TEST_F(Api, ATestRunEndsWithItsClientAndWithTheDaemon) {
  auto observer = connect();
  std::vector<bpf::Insn> insns(100'000, insn(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1));
  insns.push_back(insn(BPF_JMP | BPF_EXIT));
  const UniqueFd busy(static_cast<int>(load(*observer, insns)));
  ASSERT_TRUE(busy);
  const pid_t child = ::fork();
  if (child == 0) {
    auto client = bpf::Client::connect(path());
    uint32_t retval = 0;
    if (client) test_run(**client, busy.get(), 100'000'000, &retval);
    ::_exit(0);
  }
  ::usleep(200'000);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  uint32_t retval = 0;
  EXPECT_EQ(test_run(*observer, busy.get(), 1, &retval), 0);  // waits for the one before it
  EXPECT_EQ(retval, 1u);
  std::thread runner([&] {
    uint32_t unused = 0;
    EXPECT_LT(test_run(*observer, busy.get(), 100'000'000, &unused), 0);
  });
  ::usleep(200'000);
  server_.reset();
  runner.join();
}

TEST_F(Api, QueriesAnswerTextAndUnknownOnesSaySo) {
  auto client = connect();
  EXPECT_EQ(client->query("status").value(), "{\"pid\": 1}");
  const auto unknown = client->query("nothing");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ENOENT);
  EXPECT_EQ(client->query("status").value(), "{\"pid\": 1}");
}

TEST_F(Api, ThePinDirectoryIsKnownByWhateverWayOneComesToIt) {
  auto client = connect();
  EXPECT_EQ(client->pin_directory(), folder_);
  std::filesystem::create_directories(folder_ + "/a/b");
  std::filesystem::create_directory_symlink(folder_ + "/a", folder_ + "/link");
  const auto inside = [&](const std::string& directory) {
    const UniqueFd fd(::open(directory.c_str(), O_PATH | O_CLOEXEC));
    return client->in_pin_directory(fd.get());
  };
  EXPECT_TRUE(inside(folder_));
  EXPECT_TRUE(inside(folder_ + "/a/b"));
  EXPECT_TRUE(inside(folder_ + "/link/b"));
  EXPECT_FALSE(inside(folder_ + "/.."));
  EXPECT_FALSE(inside("/"));
  EXPECT_FALSE(inside("/proc/self"));
}

long with_path(bpf::Client& client, int cmd, const std::string& path, long fd) {
  auto attr = empty_attr();
  attr.pathname = address(path.c_str());
  attr.bpf_fd = static_cast<uint32_t>(fd);
  return client.bpf(cmd, &attr, sizeof attr);
}

TEST_F(Api, AMapIsPinnedAndGotByAnotherConnection) {
  const std::string pins = folder_ + "/pins";
  std::filesystem::create_directory(pins);
  ASSERT_TRUE(surface_.open_pins(pins));
  auto client = connect();
  uint32_t key = 1;
  uint64_t value = 9, read = 0;
  {
    const UniqueFd map(static_cast<int>(create_hash(*client)));
    EXPECT_EQ(element(*client, BPF_MAP_UPDATE_ELEM, map.get(), &key, &value), 0);
    EXPECT_EQ(with_path(*client, BPF_OBJ_PIN, pins + "/map", map.get()), 0);
    EXPECT_TRUE(std::filesystem::exists(pins + "/map"));
    EXPECT_EQ(with_path(*client, BPF_OBJ_PIN, pins + "/map", map.get()), -EEXIST);
    EXPECT_EQ(with_path(*client, BPF_OBJ_PIN, pins + "/no/map", map.get()), -ENOENT);
    EXPECT_EQ(with_path(*client, BPF_OBJ_PIN, pins + "/a.b", map.get()), -EPERM);
    EXPECT_EQ(with_path(*client, BPF_OBJ_PIN, folder_ + "/outside", map.get()), -EPERM);
  }
  auto other = connect();
  const UniqueFd got(static_cast<int>(with_path(*other, BPF_OBJ_GET, pins + "/map", 0)));
  ASSERT_TRUE(got);
  EXPECT_EQ(element(*other, BPF_MAP_LOOKUP_ELEM, got.get(), &key, &read), 0);
  EXPECT_EQ(read, 9u);
  EXPECT_EQ(with_path(*other, BPF_OBJ_GET, pins + "/nothing", 0), -ENOENT);
}

TEST_F(Api, BatchesLargerThanAPageGoAndComeWhole) {
  auto client = connect();
  constexpr uint32_t kEntries = 20'000;
  const UniqueFd map(static_cast<int>(create_hash(*client, kEntries)));
  std::vector<uint32_t> keys(kEntries);
  std::vector<uint64_t> values(kEntries);
  for (uint32_t i = 0; i < kEntries; i++) keys[i] = i, values[i] = i * uint64_t{3};
  auto attr = empty_attr();
  attr.batch.map_fd = static_cast<uint32_t>(map.get());
  attr.batch.keys = address(keys.data());
  attr.batch.values = address(values.data());
  attr.batch.count = kEntries;
  ASSERT_EQ(client->bpf(BPF_MAP_UPDATE_BATCH, &attr, sizeof attr), 0);
  EXPECT_EQ(attr.batch.count, kEntries);
  std::fill(keys.begin(), keys.end(), 0);
  std::fill(values.begin(), values.end(), 0);
  uint64_t place = 0;
  attr.batch.out_batch = address(&place);
  EXPECT_EQ(client->bpf(BPF_MAP_LOOKUP_BATCH, &attr, sizeof attr), -ENOENT);  // and all are there
  ASSERT_EQ(attr.batch.count, kEntries);
  uint64_t sum = 0;
  for (uint32_t i = 0; i < kEntries; i++) {
    EXPECT_EQ(values[i], keys[i] * uint64_t{3});
    sum += keys[i];
  }
  EXPECT_EQ(sum, uint64_t{kEntries} * (kEntries - 1) / 2);
}

TEST_F(Api, WithoutADaemonTheErrorNamesTheSocket) {
  server_.reset();
  const auto client = bpf::Client::connect(path());
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, ENOENT);
  EXPECT_NE(client.error().text.find(path()), std::string::npos) << client.error().text;
}

TEST_F(Api, ADaemonThatStopsLeavesItsClientsAnError) {
  auto client = connect();
  server_.reset();
  EXPECT_EQ(create_hash(*client), -ENOTCONN);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(Api, AStaleSocketIsReplacedAndALivingOneIsNot) {
  const auto second = SocketListener::open({path(), 0600, ::getuid(), ::getgid()});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EADDRINUSE);
  const std::string stale = folder_ + "/stale";
  {
    const UniqueFd left(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    stale.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(left.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  {
    const auto listener = SocketListener::open({stale, 0620, ::getuid(), ::getgid()});
    ASSERT_TRUE(listener) << listener.error().text;
    struct stat status;
    ASSERT_EQ(::stat(stale.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0620u);
  }
  EXPECT_FALSE(std::filesystem::exists(stale));
  std::ofstream(folder_ + "/file") << "a file of somebody's";
  EXPECT_FALSE(SocketListener::open({folder_ + "/file", 0600, ::getuid(), ::getgid()}));
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/file"));
}

}  // namespace
}  // namespace sluice::control
