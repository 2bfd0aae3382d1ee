// Clients that lie, stall and vanish: each costs its own connection, and the others are served.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/unit/api/api_fixture.hpp"

namespace sluice::control {
namespace {

using bpf::wire::CallHeader;
using bpf::wire::FrameHeader;
using bpf::wire::FrameType;
using bpf::wire::FrameWriter;

void send_all(int fd, const void* bytes, size_t size) {
  ASSERT_EQ(::send(fd, bytes, size, MSG_NOSIGNAL), static_cast<ssize_t>(size));
}

// A call of no map's: it is answered, with an error.
std::vector<char> valid_call() {
  FrameWriter writer(FrameType::call);
  const auto attr = empty_attr();
  writer.put(CallHeader{9999, sizeof attr, 0, 0, 0});
  writer.put_bytes(&attr, sizeof attr);
  return std::move(writer).finish();
}

struct BadFrame {
  const char* name;
  std::vector<char> bytes;
};

template <class Part>
std::vector<char> frame(FrameType type, const Part& part) {
  FrameWriter writer(type);
  writer.put(part);
  return std::move(writer).finish();
}

std::vector<char> with_header(FrameHeader header) {
  auto bytes = valid_call();
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

std::vector<BadFrame> bad_frames() {
  std::vector<char> noise(512);
  for (size_t i = 0; i < noise.size(); i++) noise[i] = static_cast<char>(i * 37 + 11);
  const auto call = static_cast<uint16_t>(FrameType::call);
  auto twice = valid_call();
  twice.insert(twice.end(), twice.begin(), twice.end());
  FrameWriter answers(FrameType::call);
  answers.put(CallHeader{BPF_MAP_CREATE, 0, 0, 1, 0});
  answers.put(bpf::wire::Answer{{bpf::wire::NeedKind::memory, 0, UINT64_MAX - 3, 8}, 0, 8});
  answers.put_bytes("01234567", 8);
  FrameWriter descriptor(FrameType::call);
  descriptor.put(CallHeader{BPF_MAP_CREATE, 0, 0, 1, 0});
  descriptor.put(bpf::wire::Answer{{bpf::wire::NeedKind::file, 3, 0, 0}, 0, 0});
  return {
      {"noise", noise},
      {"a size of 0", with_header({0, call, bpf::wire::kVersion})},
      {"a size beyond the limit", with_header({0xfffffff8u, call, bpf::wire::kVersion})},
      {"a size that is not whole", with_header({201, call, bpf::wire::kVersion})},
      {"another version", with_header({sizeof(FrameHeader) + 192, call, bpf::wire::kVersion + 1})},
      {"a type that only the daemon sends", frame(FrameType::result, bpf::wire::ResultHeader{})},
      {"a type that is none", frame(static_cast<FrameType>(77), bpf::wire::ResultHeader{})},
      {"a call without its header", frame(FrameType::call, uint64_t{0})},
      {"an attribute longer than the frame", frame(FrameType::call, CallHeader{0, 4096, 0, 0, 0})},
      {"an attribute longer than the limit", frame(FrameType::call, CallHeader{0, 4104, 0, 0, 0})},
      {"answers that are not there", frame(FrameType::call, CallHeader{0, 0, 0, 4, 0})},
      {"a billion answers", frame(FrameType::call, CallHeader{0, 0, 0, 1u << 30, 0})},
      {"memory that wraps around", std::move(answers).finish()},
      {"a descriptor that is not there", std::move(descriptor).finish()},
      {"a query longer than the frame",
       frame(FrameType::query, bpf::wire::TextHeader{0, 1u << 30})},
      {"two requests at once", std::move(twice)}};
}

TEST_F(Api, WhatIsNoRequestCostsTheConnectionAndNothingElse) {
  auto good = connect();
  for (const auto& [name, bytes] : bad_frames()) {
    SCOPED_TRACE(name);
    const UniqueFd bad = raw();
    ASSERT_TRUE(bad);
    send_all(bad.get(), bytes.data(), bytes.size());
    EXPECT_TRUE(closed_by_server(bad.get()));
    const UniqueFd map(static_cast<int>(create_hash(*good)));
    EXPECT_TRUE(map);
  }
}

TEST_F(Api, AClientThatStallsInAFrameLosesItsConnectionAfterAWhile) {
  start(1);
  auto good = connect();
  const UniqueFd stalled = raw();
  const UniqueFd announced = raw();
  const auto call = valid_call();
  send_all(stalled.get(), call.data(), call.size() - 1);
  const FrameHeader large{bpf::wire::kFrameMax, static_cast<uint16_t>(FrameType::call),
                          bpf::wire::kVersion};
  send_all(announced.get(), &large, sizeof large);
  EXPECT_TRUE(closed_by_server(stalled.get()));
  EXPECT_TRUE(closed_by_server(announced.get()));
  EXPECT_GE(create_hash(*good), 0);  // an idle connection is not a stalled one
}

TEST_F(Api, AClientMayVanishAtEveryByteOfItsCall) {
  const auto call = valid_call();
  for (size_t length = 0; length <= call.size(); length += 5) {
    const UniqueFd gone = raw();
    send_all(gone.get(), call.data(), length);
  }
  EXPECT_GE(create_hash(*connect()), 0);
}

// The last close of a client that was killed is seen here, and with it the object goes.
TEST_F(Api, AKilledClientLeavesNoObjects) {
  auto observer = connect();
  for (int i = 0; i < 20; i++) {
    int ready[2];
    ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    const UniqueFd from(ready[0]);
    UniqueFd to(ready[1]);
    const pid_t child = ::fork();
    if (child == 0) {
      auto client = bpf::Client::connect(path());
      const bool made = client && create_hash(**client) >= 0 && create_hash(**client) >= 0;
      if (made && ::write(to.get(), "", 1) == 1) ::pause();
      ::_exit(1);
    }
    to.reset();
    char byte;
    ASSERT_EQ(::read(from.get(), &byte, 1), 1);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  // The id search sweeps what is closed.
  auto attr = empty_attr();
  EXPECT_EQ(observer->bpf(BPF_MAP_GET_NEXT_ID, &attr, sizeof attr), -ENOENT);
}

TEST_F(Api, AThousandConnectionsAreServedAtOnce) {
  std::vector<std::unique_ptr<bpf::Client>> clients;
  for (int i = 0; i < 1000; i++) {
    auto client = bpf::Client::connect(path());
    if (!client && client.error().code == EMFILE)
      GTEST_SKIP() << "descriptors: " << client.error().text;
    ASSERT_TRUE(client) << i << ": " << client.error().text;
    clients.push_back(std::move(*client));
  }
  auto attr = empty_attr();
  for (auto& client : clients) EXPECT_EQ(client->bpf(9999, &attr, sizeof attr), -EINVAL);
}

TEST_F(Api, AThousandStalledConnectionsDoNotHoldUpAnother) {
  std::vector<UniqueFd> stalled;
  const auto call = valid_call();
  for (int i = 0; i < 1000; i++) {
    stalled.push_back(raw());
    if (!stalled.back() && errno == EMFILE) GTEST_SKIP() << "descriptors";
    ASSERT_TRUE(stalled.back());
    send_all(stalled.back().get(), call.data(), 100);
  }
  EXPECT_GE(create_hash(*connect()), 0);
}

TEST_F(Api, AClientThatDoesNotTakeItsAnswerLosesItsConnectionAfterAWhile) {
  // no socket holds that
  query_ = [](std::string_view) -> Result<std::string> { return std::string(16u << 20, 'x'); };
  start(1);
  const UniqueFd idle = raw();
  FrameWriter writer(FrameType::query);
  writer.put(bpf::wire::TextHeader{0, 8});
  writer.put_bytes("anything", 8);
  const auto query = std::move(writer).finish();
  send_all(idle.get(), query.data(), query.size());
  pollfd closed{idle.get(), 0, 0};  // what waits there is not read
  EXPECT_EQ(::poll(&closed, 1, -1), 1);
  EXPECT_NE(closed.revents & POLLHUP, 0);
  EXPECT_GE(create_hash(*connect()), 0);
}

// 20 clients wait in the backlog while the server may open next to nothing, and all are served when
// it may.
TEST_F(Api, ClientsThatComeWhileDescriptorsAreShortAreServedLater) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const UniqueFd from(ready[0]);
  UniqueFd to(ready[1]);
  const int lowest_free = ::dup(0);
  ::close(lowest_free);
  const rlimit tight{static_cast<rlim_t>(lowest_free), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::setrlimit(RLIMIT_NOFILE, &before);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    UniqueFd sockets[20];
    for (auto& socket : sockets) {
      socket.reset(::socket(AF_UNIX, SOCK_STREAM, 0));
      if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        ::_exit(1);
    }
    char byte;
    if (::recv(sockets[19].get(), &byte, 1, MSG_DONTWAIT) != -1 || ::write(to.get(), "", 1) != 1)
      ::_exit(2);
    for (auto& socket : sockets) {
      FrameHeader welcome;
      if (::recv(socket.get(), &welcome, sizeof welcome, MSG_WAITALL) != sizeof welcome) ::_exit(3);
    }
    ::_exit(0);
  }
  to.reset();
  char byte;
  EXPECT_EQ(::read(from.get(), &byte, 1), 1);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(Api, DescriptorsThatNobodyAskedForAreClosed) {
  const UniqueFd event(::eventfd(0, EFD_CLOEXEC));
  const UniqueFd bad = raw();
  const auto call = valid_call();
  const int fd = event.get();
  ASSERT_GT(send_with_descriptors(bad.get(), call, {&fd, 1}), 0);
  EXPECT_TRUE(closed_by_server(bad.get()));
}

}  // namespace
}  // namespace sluice::control
